"""The real `ollama` command against the running API, and a real Ollama that pulls from it: skipped without one."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, Manifest, blob_key
from shared.catalog.names import ModelName
from tests.gguf_files import gguf
from tests.harness import Stack, running_stack, wait_for
from tests.ollama import real
from tests.ollama.conftest import serve_three
from tests.ollama.real import Ollama
from tests.registry import State, registry
from tests.terminal import Terminal

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(real.BINARY is None, reason="no ollama on the PATH nor at OLLAMA_BIN"),
]

COUNTED = "".join(f"{k} " for k in range(16)).strip()

MODELFILE = '''FROM ./model.gguf
TEMPLATE """{{ .System }} {{ .Prompt }}"""
SYSTEM """Be kind,
and <brief>."""
PARAMETER temperature 0.7
PARAMETER num_ctx 1024
PARAMETER stop <end>
PARAMETER stop "a b"
MESSAGE user Hi
MESSAGE assistant Hello & good day
LICENSE MIT
'''


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Slow to answer, so that every stream has spaces before its lines."""
    environ = {"PUNA_ENGINE": "fake --delay 0.2", "PUNA_COMMENT": "0.05", "PUNA_REGISTRY_NETWORKS": "127.0.0.0/8"}
    with running_stack(tmp_path_factory.mktemp("real"), **environ) as stack:
        serve_three(stack)
        yield stack


@pytest.fixture
def ollama(stack: Stack, tmp_path: Path) -> Ollama:
    return Ollama(stack.url, tmp_path)


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def test_lists(ollama: Ollama) -> None:
    head, *models = rows(ollama("list"))
    assert head == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert {"chatter:latest", "thinker:latest", "embedder:latest"} <= {row[0] for row in models}
    assert [row[0] for row in rows(ollama("list", "chat"))] == ["NAME", "chatter:latest"]
    head, *loaded = rows(ollama("ps"))
    assert head == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
    assert any(row[0] == "thinker:latest" and row[-1] == "Forever" for row in loaded)


def test_a_prompt_as_words_and_piped_in(ollama: Ollama) -> None:
    assert ollama("run", "chatter", "Hi there").strip() == COUNTED
    assert ollama("run", "chatter", stdin="Hi there").strip() == COUNTED
    assert ollama("run", "chatter", "--format", "json", "Hi").strip() == "{}"
    assert "eval count:           16 token(s)" in ollama("run", "chatter", "--verbose", "Hi")
    assert "0 1" in ollama("run", "thinker", "--think=low", "Hi")
    assert '"chatter" does not support thinking' in ollama("run", "chatter", "--think", "Hi", code=1)
    assert len(orjson.loads(ollama("run", "embedder", "a text"))) == 8


def test_a_conversation_that_is_saved(ollama: Ollama) -> None:
    become = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    with Terminal(["-c", become, str(real.BINARY), "run", "chatter"], ollama.environ) as terminal:
        for words in ("Hi there", "/set system Be kind.", "/set parameter temperature 0.5", "/save kept", "/bye"):
            terminal.read_until(lambda text: text.rstrip().endswith("(/? for help)"))
            terminal.press(f"{words}\r")
            terminal.read_until(lambda text, words=words: words in text)
        assert terminal.wait() == 0
        assert "Created new model 'kept'" in terminal.text
    assert ollama("show", "kept", "--system") == "Be kind."
    shown = ollama("show", "kept", "--modelfile")
    assert "PARAMETER temperature 0.5" in shown
    assert "MESSAGE user Hi there" in shown
    ollama("rm", "kept")


def test_a_model_s_life(ollama: Ollama, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(gguf({"general.architecture": "llama", "llama.rope.freq_base": 0.7}))
    (tmp_path / "Modelfile").write_text(MODELFILE)
    said = ollama("create", "kind").splitlines()
    assert {"parsing GGUF", "writing manifest", "success"} <= {line.strip() for line in said}
    shown = " ".join(ollama("show", "kind").split())
    assert "architecture llama" in shown
    assert "System Be kind, and <brief>. License MIT" in shown
    assert "llama.rope.freq_base 0.7" in " ".join(ollama("show", "kind", "-v").split())
    assert ollama("show", "kind", "--system") == "Be kind,\nand <brief>."
    assert ollama("show", "kind", "--template") == "{{ .System }} {{ .Prompt }}"
    assert ollama("show", "kind", "--license").strip() == "MIT"
    assert [row[0] for row in rows(ollama("show", "kind", "--parameters"))] == [
        "num_ctx",
        "stop",
        "stop",
        "temperature",
    ]
    assert "MESSAGE assistant Hello & good day" in ollama("show", "kind", "--modelfile")
    assert ollama("cp", "kind", "kinder").strip() == "copied 'kind' to 'kinder'"
    assert rows(ollama("list", "kin"))[1][1] == rows(ollama("list", "kin"))[2][1]
    assert "deleted 'kinder'" in ollama("rm", "kinder", "kind")
    assert len(rows(ollama("list", "kin"))) == 1


def test_stop(ollama: Ollama) -> None:
    for model in ("chatter", "embedder"):
        ollama("run", model, "Hi")
        wait_for(lambda model=model: f"{model}:latest" in ollama("ps"), "it is loaded")
        ollama("stop", model)
        wait_for(lambda model=model: f"{model}:latest" not in ollama("ps"), "it is unloaded")
    assert 'couldn\'t find model "nobody" to stop' in ollama("stop", "nobody", code=1)


def test_transfers(ollama: Ollama) -> None:
    state = State()
    state.add("library/m", b"weights" * 1000)
    with registry(state) as host:
        assert "success" in ollama("pull", "--insecure", f"{host}/library/m")
        assert f"{host}/library/m:latest" in ollama("list")
        ollama("cp", f"{host}/library/m", f"{host}/library/n")
        assert f"{host}/library/n" in ollama("push", "--insecure", f"{host}/library/n")
        assert "library/n:latest" in state.manifests
        gone = ollama("pull", "--insecure", f"{host}/library/nobody", code=1)
        assert "Error: pull model manifest: file does not exist" in gone
        ollama("rm", f"{host}/library/m", f"{host}/library/n")
    assert "You need to be signed in to push models to ollama.com." in ollama("push", "chatter")


def test_refusals(ollama: Ollama, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    (tmp_path / "Modelfile").write_text("FROM ./junk\n")
    assert "Error: unknown type" in ollama("create", "junk", code=1)
    assert "model 'nobody' not found" in ollama("show", "nobody", code=1)
    assert 'model "nobody" not found' in ollama("cp", "nobody", "x", code=1)
    assert "model 'nobody' not found" in ollama("rm", "nobody", code=1)


def manifest(models: Path, name: str) -> Manifest:
    found = DirectoryStore(models).get(ModelName.parse(name).manifest_key)
    assert found is not None
    return Manifest.from_bytes(found.data)


def test_a_real_ollama_pulls_from_us(stack: Stack, ollama: Ollama, tmp_path: Path) -> None:
    """And makes the same layers of the same Modelfile."""
    (tmp_path / "model.gguf").write_bytes(gguf({"general.architecture": "llama"}))
    (tmp_path / "Modelfile").write_text(MODELFILE)
    ollama("create", "same")
    models = tmp_path / "theirs"
    ours, name = manifest(stack.catalog, "same"), f"{stack.url.removeprefix('http://')}/library/same"
    with real.served(models, tmp_path) as host:
        theirs = Ollama(host, tmp_path)
        assert "success" in theirs("pull", "--insecure", name)
        pulled = manifest(models, name)
        theirs("create", "same")
        made = manifest(models, "same")
    assert pulled.blobs == ours.blobs
    for layer in pulled.blobs:
        path = DirectoryStore(models).path(blob_key(layer.digest))
        assert path.read_bytes() == DirectoryStore(stack.catalog).path(blob_key(layer.digest)).read_bytes()
    # The config differs between Ollama's versions.
    digests = [
        [(layer.media_type, layer.digest) for layer in each.blobs if layer.media_type != CONFIG]
        for each in (ours, made)
    ]
    assert digests[0] == digests[1]
