"""Models of safetensors and quantized ones, as Ollama's client and the command ask for them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from tests.model_folders import bert_folder, decoder_folder, decoder_tensors
from tests.ollama.test_commands import puna  # noqa: F401 fixture

pytestmark = pytest.mark.redis


def written(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def blobs(client: ollama.Client, path: Path) -> dict[str, str]:
    return {each.name: client.create_blob(each) for each in path.iterdir()}


def test_a_folder_becomes_a_model(client: ollama.Client, tmp_path: Path) -> None:
    files = blobs(client, written(tmp_path, decoder_folder()))
    steps = list(client.create("hers", files=files, parameters={"num_predict": 2}, stream=True))
    assert [step.status for step in steps][-2:] == ["writing manifest", "success"]
    done = [(step.total, step.completed) for step in steps if step.status == "converting model"]
    assert done
    assert done[-1][0] == done[-1][1]
    shown = client.show("hers")
    assert shown.details is not None
    assert (shown.details.family, shown.details.quantization_level) == ("llama", "F16")
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == 2048
    assert client.create("smaller", from_="hers", quantize="q8_0").status == "success"
    smaller = client.show("smaller")
    assert smaller.details is not None
    assert smaller.details.quantization_level == "Q8_0"
    assert (smaller.parameters or "").split() == ["num_predict", "2"]
    for name in ("hers", "smaller"):
        client.delete(name)


def test_the_command_takes_a_folder(puna: Any, tmp_path: Path) -> None:  # noqa: F811
    folder = bert_folder(**{"1_Pooling/config": {"pooling_mode_cls_token": True}})
    written(tmp_path / "model", {**folder, "README.md": b"not for a model"})
    (tmp_path / "Modelfile").write_text("FROM ./model\n")
    said = puna("create", "small-bert", "-f", str(tmp_path / "Modelfile"), "--quantize", "f32").splitlines()
    assert said[-1] == "success"
    assert not any("README" in line for line in said)
    assert any(line.startswith("quantizing F16 model to F32") for line in said)
    shown = puna("show", "small-bert")
    assert "quantization        F32" in shown
    assert "embedding" in shown
    puna("rm", "small-bert")


def test_the_command_takes_its_own_folder(puna: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(written(tmp_path, decoder_folder()))
    assert puna("create", "here").splitlines()[-1] == "success"
    assert "llama" in puna("show", "here")
    puna("rm", "here")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"config.json": b"{}"}, "unsupported architecture ''; the supported ones are LlamaForCausalLM, "),
        ({"model.safetensors": b"short"}, "model.safetensors is not in safetensors format"),
        (
            {"tokenizer.json": json.dumps({"model": {"vocab": {}}}).encode()},
            "its pre-tokenizer (none at all) is not supported",
        ),
    ],
)
def test_what_is_wrong_is_a_400(
    client: ollama.Client, http: httpx.Client, tmp_path: Path, changed: dict[str, bytes], words: str, stream: bool
) -> None:
    """Also what only the worker sees: nothing has been told by then."""
    files = blobs(client, written(tmp_path, {**decoder_folder(), **changed}))
    answer = http.post("/api/create", json={"model": "bad", "files": files, "stream": stream})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert http.post("/api/show", json={"model": "bad"}).status_code == 404


def test_what_is_wrong_with_a_number_ends_the_stream(client: ollama.Client, http: httpx.Client, tmp_path: Path) -> None:
    tensors = decoder_tensors()
    tensors["lm_head.weight"][:] = 1e9
    files = blobs(client, written(tmp_path, decoder_folder(tensors=tensors)))
    answer = http.post("/api/create", json={"model": "bad", "files": files})
    last = json.loads(answer.text.splitlines()[-1])
    assert "the tensor output.weight has numbers that F16 cannot hold" in last["error"]
    assert http.post("/api/show", json={"model": "bad"}).status_code == 404
