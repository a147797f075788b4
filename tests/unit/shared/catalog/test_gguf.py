"""GGUF headers: made-up files for each rule, and the default model's for the whole."""

import hashlib
from pathlib import Path

import pytest

from shared.catalog.gguf import Gguf, NotGguf, human_number, is_gguf, read_gguf
from shared.catalog.gguf_types import BLOCKS, TENSOR_TYPES
from tests.gguf_files import MINIMAL, gguf


class Ranges:
    """A file that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def __call__(self, start: int, length: int) -> bytes:
        part = self.data[start : start + length]
        self.reads.append((start, len(part)))
        return part


def header(data: bytes, *, verbose: bool = False) -> Gguf:
    return read_gguf(Ranges(data), verbose=verbose)


def test_the_minimal_file_is_the_one_whose_digest_is_known() -> None:
    digest = hashlib.sha256(MINIMAL).hexdigest()
    assert (digest[:8], digest[-4:]) == ("89a2116c", "5fad")
    found = header(MINIMAL)
    assert (found.architecture, found.kind) == ("test", "model")
    assert (found.parameter_size, found.file_type, found.context_length) == ("0", "unknown", None)


def test_what_is_derived() -> None:
    found = header(
        gguf(
            {
                "general.architecture": "llama",
                "general.file_type": 15,
                "llama.context_length": 8192,
                "llama.embedding_length": 64,
                "tokenizer.chat_template": "{% for message in messages %}",
                "flag": True,
                "scale": 0.7,
                "scales": [1e-5, 3.0, 2.0**30],
                "none": [],
                "few": [1, 2, 3],
            },
            [("token_embd.weight", (64, 1000), 12), ("output_norm.weight", (64,), 0)],
            version=2,
        )
    )
    assert (found.architecture, found.file_type, found.parameter_size) == ("llama", "Q4_K_M", "64K")
    assert (found.context_length, found.embedding_length, found.parameters) == (8192, 64, 64064)
    assert found.chat_template == "{% for message in messages %}"
    # 32 bits hold neither 0.7 nor 1e-05 exactly: the shortest decimals that mean what they hold, as Ollama writes them.
    assert (found.metadata["scale"], found.metadata["scales"]) == (0.7, [1e-05, 3.0, 1073741800.0])
    assert [(each.name, each.type, each.shape) for each in found.tensors] == [
        ("token_embd.weight", "Q4_K", (64, 1000)),
        ("output_norm.weight", "F32", (64,)),
    ]
    assert found.metadata["flag"] is True
    assert (found.metadata["none"], found.metadata["few"]) == ([], [1, 2, 3])
    assert not found.embeds


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"general.architecture": "clip"}, "projector"),
        ({"general.architecture": "qwen2", "general.type": "mmproj"}, "projector"),
        ({"general.architecture": "llama", "general.type": "adapter"}, "adapter"),
        ({"general.architecture": "llama", "split.count": 3}, "split"),
        ({"general.architecture": "llama", "split.count": 1, "general.type": "model"}, "model"),
        ({}, "model"),
    ],
)
def test_kinds(metadata: dict[str, object], kind: str) -> None:
    assert header(gguf(metadata)).kind == kind


def test_a_model_with_a_pooling_embeds() -> None:
    assert header(gguf({"general.architecture": "bert", "bert.pooling_type": 1})).embeds


def test_long_arrays_are_empty_unless_asked_for() -> None:
    words, numbers = [f"w{i}" for i in range(100_000)], list(range(1000))
    data = gguf({"words": words, "numbers": numbers, "after": 7})
    assert header(data).metadata == {"words": [], "numbers": [], "after": 7}
    assert header(data, verbose=True).metadata == {"words": words, "numbers": numbers, "after": 7}


def test_what_is_skipped_is_not_read() -> None:
    data = gguf({"numbers": [0] * 1_000_000, "after": 7})
    ranges = Ranges(data)
    assert read_gguf(ranges).metadata["after"] == 7
    assert sum(length for _, length in ranges.reads) < 1 << 19 < len(data)


def test_where_the_tensors_end() -> None:
    data = gguf({"a": 1}, [("a", (32, 3), 2), ("b", (5,), 0), ("c", (256, 2), 14)])
    found = header(data)
    assert [(each.offset, each.size) for each in found.tensors] == [(0, 54), (64, 20), (96, 420)]
    assert found.length == found.data + 96 + 420 == len(data) - 28, "the last one is filled up to 32 bytes"
    assert header(MINIMAL).length == 0


def test_the_sizes_of_blocks_are_those_of_ggml() -> None:
    gguf_py = pytest.importorskip("gguf")
    known = {each.name: size for each, size in gguf_py.GGML_QUANT_SIZES.items()}
    assert {name: known[name] for name in BLOCKS} == BLOCKS
    assert set(TENSOR_TYPES.values()) - BLOCKS.keys() == {"Q8_1", "Q8_K"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGU",
        b"GGML" + bytes(40),
        b"PK\x03\x04" + bytes(40),
        MINIMAL[:-1],
        gguf({}, version=1),
        gguf({}, version=9),
        MINIMAL[:4] + b"\x03\0\0\0" + b"\xff" * 16,
        gguf({"a": 1})[:-8] + b"\x63\0\0\0\0\0\0\0",
    ],
)
def test_what_is_no_gguf(data: bytes) -> None:
    with pytest.raises(NotGguf, match="supplied file was not in GGUF format"):
        header(data)


def test_a_file_that_is_not_there() -> None:
    assert not is_gguf(lambda start, length: None)
    with pytest.raises(NotGguf):
        read_gguf(lambda start, length: None)


def test_numbers_as_ollama_shows_them() -> None:
    counts = [0, 999, 12_000, 134_515_008, 494_032_768, 7_000_000, 7_615_616_512, 8_000_000_000, 70_553_706_496]
    told = ["0", "999", "12K", "134.52M", "494.03M", "7M", "7.6B", "8B", "70.6B"]
    assert [human_number(count) for count in counts] == told


@pytest.mark.engine
def test_the_default_model(default_weights: Path) -> None:
    read: list[int] = []

    def part(start: int, length: int) -> bytes:
        with default_weights.open("rb") as file:
            file.seek(start)
            data = file.read(length)
        read.append(len(data))
        return data

    found = read_gguf(part)
    assert (found.architecture, found.parameter_size, found.file_type) == ("llama", "134.52M", "Q4_1")
    assert (found.context_length, found.embedding_length) == (8192, 576)
    assert "<|im_start|>" in found.chat_template
    assert len(found.tensors) == 272
    assert found.metadata["tokenizer.ggml.tokens"] == []
    assert 0 <= default_weights.stat().st_size - found.length < 32
    assert sum(read) < 4 << 20 < default_weights.stat().st_size
    assert len(read_gguf(part, verbose=True).metadata["tokenizer.ggml.tokens"]) == 49152
