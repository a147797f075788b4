"""What of a create is a worker's work, and what is refused before anything is queued."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.catalog.conversion import is_work
from shared.catalog.create import create
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import blob_key, digest_of
from shared.errors import InvalidRequest, ModelNotFound
from shared.schema.create import parse
from tests.gguf_files import MINIMAL, gguf
from tests.model_folders import decoder_config, decoder_folder

F16 = gguf({"general.architecture": "llama", "general.file_type": 1})
Q4_K = gguf({"general.architecture": "llama", "general.file_type": 15})
INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()


def part(number: int, count: int, file_type: int = 1) -> bytes:
    told = {"general.architecture": "llama", "general.file_type": file_type, "split.no": number, "split.count": count}
    return gguf(told)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path)


def asked(store: DirectoryStore, files: dict[str, bytes] | None = None, **body: Any) -> bool:
    if "from_" in body:
        body["from"] = body.pop("from_")
    if files is not None:
        body["files"] = {}
        for name, data in files.items():
            body["files"][name] = digest_of(data)
            store.put(blob_key(digest_of(data)), data)
    return is_work(store, parse({"model": "m", **body}))


def config(**more: Any) -> dict[str, bytes]:
    return {**decoder_folder(), "config.json": json.dumps(decoder_config(**more)).encode()}


def without(name: str) -> dict[str, bytes]:
    return {each: data for each, data in decoder_folder().items() if each != name}


def test_what_is_a_worker_s_work(store: DirectoryStore) -> None:
    assert asked(store, decoder_folder())
    assert asked(store, {"m-00001-of-00002.gguf": part(0, 2), "m-00002-of-00002.gguf": part(1, 2)})
    assert asked(store, {"m.gguf": F16}, quantize="q8_0")
    assert not asked(store, {"m.gguf": F16})
    assert not asked(store, {"m-00001-of-00001.gguf": F16})
    list(create(store, parse({"model": "base", "files": {"m.gguf": digest_of(F16)}})))
    assert asked(store, from_="base", quantize="Q4_0")
    assert not asked(store, from_="base", system="Be kind.")


@pytest.mark.parametrize(
    ("files", "body", "told"),
    [
        (without("config.json"), {}, "the folder has no config.json"),
        (without("tokenizer.json"), {}, "the folder has none of tokenizer.json, tokenizer.model, vocab.txt"),
        (without("model.safetensors"), {}, "the folder has no .safetensors file"),
        ({**decoder_folder(), "config.json": b"{"}, {}, "config.json is not valid JSON"),
        ({**decoder_folder(), "config.json": b"[]"}, {}, "config.json holds no JSON object"),
        (
            config(word="Mamba"),
            {},
            "unsupported architecture 'Mamba'; the supported ones are LlamaForCausalLM, Mistral",
        ),
        (config(quantization_config={"bits": 4}), {}, "only unquantized ones are taken"),
        (
            {**decoder_folder(), "model.safetensors.index.json": INDEX},
            {},
            "model-1.safetensors is missing, which model.safetensors.index.json names",
        ),
        ({"pytorch_model.bin": b"", "config.json": b"{}"}, {}, "pickled weights are not read"),
        (decoder_folder(), {"from_": "base"}, "'from' names a model, and 'files' has another one"),
        (
            {"m-00001-of-00003.gguf": part(0, 3), "m-00003-of-00003.gguf": part(2, 3)},
            {},
            "m-00002-of-00003.gguf is missing",
        ),
        ({"m-00001-of-00002.gguf": part(1, 2), "m-00002-of-00002.gguf": part(0, 2)}, {}, "is not part 1 of 2"),
        ({"m-00001-of-00002.gguf": F16, "m-00002-of-00002.gguf": Q4_K}, {}, "is not part 1 of 2"),
        ({"m-00001-of-00002.gguf": part(0, 2), "n-00002-of-00002.gguf": part(1, 2)}, {}, "parts of several models"),
        ({"m.gguf": Q4_K}, {"quantize": "q8_0"}, "only supported for F32, F16, BF16 models; this one is Q4_K_M"),
        ({"m.gguf": MINIMAL}, {"quantize": "q8_0"}, "this one is unknown"),
        (
            {"m-00001-of-00002.gguf": part(0, 2, 15), "m-00002-of-00002.gguf": part(1, 2)},
            {"quantize": "q8_0"},
            "this one is Q4_K_M",
        ),
    ],
)
def test_refusals(store: DirectoryStore, files: dict[str, bytes], body: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(store, files, **body)
    assert told in caught.value.message
    assert caught.value.param == "files"


def test_a_base_that_is_quantized_or_absent(store: DirectoryStore) -> None:
    assert not asked(store, {"m.gguf": Q4_K})
    list(create(store, parse({"model": "base", "files": {"m.gguf": digest_of(Q4_K)}})))
    with pytest.raises(InvalidRequest, match="this one is Q4_K_M") as caught:
        asked(store, from_="base", quantize="q8_0")
    assert caught.value.param == "from"
    with pytest.raises(ModelNotFound):
        asked(store, from_="nobody", quantize="q8_0")
    with pytest.raises(InvalidRequest, match="is not in the catalog, upload it first"):
        is_work(store, parse({"model": "m", "files": {"config.json": "sha256:" + "0" * 64}}))
