"""The `puna` command about models, against the running API."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.cli.place import CommandError
from shared.settings import settings
from tests.gguf_files import gguf
from tests.harness import Stack, wait_for

pytestmark = pytest.mark.redis


@pytest.fixture
def puna(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs one command; its standard output."""
    monkeypatch.setenv("PUNA_PORT", stack.url.rpartition(":")[2])
    settings.cache_clear()

    def run(*words: str, stdin: str = "") -> str:
        answer = CliRunner().invoke(app, words, input=stdin, catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return answer.output

    yield run
    settings.cache_clear()


def test_a_model_s_life(puna: Any, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf({"general.architecture": "llama", "llama.context_length": 2048}))
    file = tmp_path / "Modelfile"
    file.write_text('FROM ./model.gguf\nSYSTEM """\nBe kind.\n"""\nPARAMETER num_predict 2\nPARAMETER stop <end>\n')
    said = puna("create", "kind", "-f", str(file)).splitlines()
    assert said[0].startswith("hashing model.gguf")
    assert any(line.startswith("copying ") for line in said)
    assert said[-2:] == ["writing manifest", "success"]
    assert not any(line.startswith("copying ") for line in puna("create", "kind", "-f", str(file)).splitlines())
    shown = puna("show", "kind")
    for fact in ("architecture", "llama", "context length    2048", '"<end>"', "Be kind."):
        assert fact in shown
    assert puna("show", "kind", "--system") == "\nBe kind.\n\n"
    assert "PARAMETER stop <end>" in puna("show", "kind", "--modelfile")
    assert puna("cp", "kind", "kinder").strip() == "copied 'kind' to 'kinder'"
    names = [line.split()[0] for line in puna("list").splitlines()]
    assert names[:1] == ["NAME"]
    assert {"kind:latest", "kinder:latest"} <= set(names)
    assert puna("rm", "kind", "kinder").splitlines() == ["deleted 'kind'", "deleted 'kinder'"]
    assert "kind" not in puna("list")


def test_a_modelfile_on_standard_input(puna: Any) -> None:
    puna("create", "brief", "-f", "-", stdin="FROM chatter\nPARAMETER num_predict 1\n")
    assert "num_predict" in puna("show", "brief", "--parameters")
    puna("rm", "brief")


def test_a_local_file_is_pulled(puna: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Local-1B-Q8_0.gguf").write_bytes(gguf({"general.architecture": "llama"}))
    assert puna("pull", "./Local-1B-Q8_0.gguf").splitlines()[-2:] == [
        "success",
        "Local-1B-Q8_0.gguf is here as local-1b:q8_0",
    ]
    assert "local-1b:q8_0" in puna("list")
    with pytest.raises(CommandError, match="there is no such file"):
        puna("pull", "nowhere.gguf")
    Path("half").mkdir()
    Path("half/model.safetensors").write_bytes(b"half")
    with pytest.raises(CommandError, match=r"config\.json"):
        puna("pull", "half/model.safetensors")
    puna("rm", "local-1b:q8_0")


def test_stop(puna: Any, stack: Stack) -> None:
    with httpx.Client(base_url=stack.url) as http:
        http.post("/api/embed", json={"model": "embedder", "input": "a"})
    wait_for(lambda: "embedder:latest" in puna("ps"), "it is loaded")
    assert puna("stop", "embedder") == ""
    wait_for(lambda: "embedder:latest" not in puna("ps"), "it is unloaded")
    with pytest.raises(CommandError, match='couldn\'t find model "nobody" to stop'):
        puna("stop", "nobody")


def test_ps(puna: Any) -> None:
    head, *rows = puna("ps").splitlines()
    assert head.split() == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert any(row.startswith("chatter:latest ") and row.endswith("Forever") for row in rows)
    assert [row.split()[0] for row in puna("ps", "CHATTER").splitlines()] == ["NAME", "chatter:latest"]
    assert [row.split()[0] for row in puna("list", "chat").splitlines()] == ["NAME", "chatter:latest"]
