"""The real `ollama` command with folders of safetensors, and what a real Ollama makes of them: skipped without one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import pytest

from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import Manifest, blob_key
from shared.catalog.names import ModelName
from tests.harness import Stack
from tests.model_folders import (
    LLAMA_SPLIT,
    QWEN_SPLIT,
    byte_level,
    decoder_config,
    decoder_folder,
    decoder_tensors,
    split,
)
from tests.ollama import real
from tests.ollama.real import Ollama

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(real.BINARY is None, reason="no ollama on the PATH nor at OLLAMA_BIN"),
]

WORDS = 13
NO_WORDS = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}


def written(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "README.md").write_text("Not for a model.")
    (folder.parent / "Modelfile").write_text(f"FROM ./{folder.name}\nPARAMETER temperature 0.5\n")
    return folder


def weights(models: Path, name: str) -> gguf.GGUFReader:
    store = DirectoryStore(models)
    found = store.get(ModelName.parse(name).manifest_key)
    assert found is not None
    return gguf.GGUFReader(store.path(blob_key(Manifest.from_bytes(found.data).model.digest)))


def facts(reader: gguf.GGUFReader) -> dict[str, Any]:
    """By key; of the vocabulary what is no filling, which Ollama takes for words."""
    told = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    names = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
    return {name: value[:WORDS] if name in names else value for name, value in told.items()}


@pytest.mark.parametrize("quantize", ["", "q8_0"])
@pytest.mark.parametrize(
    ("word", "pattern", "made"),
    [
        ("LlamaForCausalLM", LLAMA_SPLIT, {}),
        ("Qwen2ForCausalLM", QWEN_SPLIT, {"bias": True}),
    ],
)
def test_the_same_as_ollama_makes(
    stack: Stack, tmp_path: Path, word: str, pattern: str, made: dict[str, bool], quantize: str
) -> None:
    """Tensors bit by bit, and every fact that Ollama tells too."""
    tokenizer = byte_level([split(pattern), NO_WORDS])
    written(
        tmp_path / "model",
        decoder_folder(decoder_config(word), decoder_tensors(**made, dtype="<f2"), tokenizer=tokenizer),
    )
    words = ["create", "folder", "-f", "Modelfile", *(["--quantize", quantize] if quantize else [])]
    said = Ollama(stack.url, tmp_path)(*words)
    assert "success" in said
    try:
        ours = weights(stack.catalog, "folder")
    finally:
        Ollama(stack.url, tmp_path)("rm", "folder")
    with real.served(tmp_path / "models", tmp_path) as host:
        Ollama(host, tmp_path)(*words)
    theirs = weights(tmp_path / "models", "folder")
    assert {each.name: each.tensor_type for each in ours.tensors} == {
        each.name: each.tensor_type for each in theirs.tensors
    }
    data = {each.name: each.data.tobytes() for each in theirs.tensors}
    for each in ours.tensors:
        assert each.data.tobytes() == data[each.name], each.name
    told, wanted = facts(ours), facts(theirs)
    missing = {
        "general.quantization_version",
        "general.parameter_count",
        "tokenizer.ggml.add_eos_token",
        "tokenizer.ggml.scores",
    }
    assert wanted.keys() - told.keys() <= missing, "nothing that llama.cpp looks at for such a model"
    assert {name: told[name] for name in wanted if name in told} == {
        name: wanted[name] for name in wanted if name in told
    }


def test_the_command_quantizes(stack: Stack, tmp_path: Path) -> None:
    written(tmp_path / "model", decoder_folder())
    ollama = Ollama(stack.url, tmp_path)
    assert "success" in ollama("create", "folder", "-f", "Modelfile", "--quantize", "q8_0")
    shown = ollama("show", "folder")
    ollama("rm", "folder")
    assert "Q8_0" in shown
    assert "temperature" in shown
