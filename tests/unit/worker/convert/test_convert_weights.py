"""Types of tensors, quantization against ggml's formulas in numpy, GGUF files in parts, and files that are damaged."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from shared.errors import InvalidRequest
from tests.model_folders import Array, bert_folder, decoder_config, decoder_folder, decoder_tensors, safetensors
from tests.unit.worker.convert.made import Made, converted
from worker.convert import tensor
from worker.convert.folder import File
from worker.convert.weights import joined

UP = "model.layers.0.mlp.up_proj.weight"


def q8_0(values: Array) -> Array:
    """As ggml's `quantize_row_q8_0_ref`, then back: 32 numbers share the largest one's 127th part."""
    blocks = values.reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    turned = blocks * np.where(scale == 0, 0, 1 / scale)
    rounded = np.sign(turned) * np.floor(np.abs(turned) + np.float32(0.5))
    return (rounded * scale.astype("f2").astype("f4")).reshape(values.shape)


@pytest.mark.parametrize("source", ["<f4", "<f2", "<f8", "BF16"])
def test_q8_0(tmp_path: Path, source: str) -> None:
    tensors = decoder_tensors(dtype="<f4" if source == "BF16" else source)
    told = {name: (source, each) if source == "BF16" else each for name, each in tensors.items()}
    made = converted(tmp_path, decoder_folder(tensors=told), "Q8_0")
    values = tensors[UP].astype("f4")
    if source == "BF16":
        values = (values.view("u4") & 0xFFFF0000).view("f4")
    assert np.array_equal(made.values["blk.0.ffn_up.weight"], q8_0(values))
    assert made.facts["general.file_type"] == 7
    assert made.facts["general.quantization_version"] == 2
    assert {made.types[f"blk.0.{name}.weight"] for name in ("attn_q", "ffn_down")} == {"Q8_0"}
    assert {made.types["output.weight"], made.types["token_embd.weight"]} == {"Q8_0"}
    assert {made.types["output_norm.weight"], made.types["blk.1.ffn_norm.weight"]} == {"F32"}


@pytest.mark.parametrize(("kind", "number", "bits"), [("Q4_0", 2, 4), ("Q4_1", 3, 4), ("Q5_0", 8, 5), ("Q5_1", 9, 5)])
def test_smaller_types_keep_the_output_better(tmp_path: Path, kind: str, number: int, bits: int) -> None:
    tensors = decoder_tensors()
    made = converted(tmp_path, decoder_folder(), kind)
    assert (made.types["blk.0.ffn_up.weight"], made.types["output.weight"]) == (kind, "Q8_0")
    assert made.types["token_embd.weight"] == kind
    assert made.facts["general.file_type"] == number
    blocks = tensors[UP].reshape(-1, 32)
    step = 2 * np.abs(blocks).max(axis=1, keepdims=True) / (2**bits - 1)
    assert (np.abs(made.values["blk.0.ffn_up.weight"].reshape(-1, 32) - blocks) < step).all()
    tied = converted(tmp_path, decoder_folder(decoder_config(tie_word_embeddings=True)), kind)
    assert tied.types["token_embd.weight"] == "Q8_0"


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_types_without_blocks(tmp_path: Path, kind: str) -> None:
    made = converted(tmp_path, decoder_folder(), kind)
    assert made.types["blk.0.attn_v.weight"] == kind
    assert made.facts["general.file_type"] == {"F32": 0, "F16": 1, "BF16": 32}[kind]
    assert made.types["output_norm.weight"] == "F32"


def test_what_has_no_whole_blocks_stays(tmp_path: Path) -> None:
    """The BERT's rows have 4 numbers, and a block has 32."""
    made = converted(tmp_path, bert_folder(), "Q8_0")
    assert set(made.types.values()) == {"F16", "F32"}
    assert made.types["position_embd.weight"] == "F32"


def test_numbers_that_a_type_has_not_are_refused(tmp_path: Path) -> None:
    tensors = decoder_tensors()
    tensors[UP][3, 3] = 1e6
    with pytest.raises(InvalidRequest, match=r"blk.0.ffn_up.weight has numbers that F16 cannot hold"):
        converted(tmp_path, decoder_folder(tensors=tensors))
    assert converted(tmp_path, decoder_folder(tensors=tensors), "BF16").types["blk.0.ffn_up.weight"] == "BF16"


def test_many_reads_give_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = converted(tmp_path, decoder_folder(), "Q8_0")
    monkeypatch.setattr(tensor, "_READ", 5000)
    monkeypatch.setattr(tensor, "_WORK", 100)
    pieces = converted(tmp_path, decoder_folder(), "Q8_0")
    assert all(np.array_equal(whole.values[name], pieces.values[name]) for name in whole.values)


def test_tensors_over_several_files(tmp_path: Path) -> None:
    files, tensors = decoder_folder(), list(decoder_tensors().items())
    one = converted(tmp_path, files)
    del files["model.safetensors"]
    for number, start in enumerate((0, 9)):
        some = dict(tensors[start : start + 9] if number == 0 else tensors[start:])
        files[f"model-0000{number + 1}-of-00002.safetensors"] = safetensors(some)
    several = converted(tmp_path, files)
    assert several.types == one.types
    assert all(np.array_equal(one.values[name], several.values[name]) for name in one.values)
    files["model.safetensors"] = safetensors(dict(tensors[:1]))
    with pytest.raises(InvalidRequest, match="is in several files"):
        converted(tmp_path, files)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not in safetensors format"),
        (b"\x02\0\0\0\0\0\0\0[]", "its header is damaged"),
        (safetensors(decoder_tensors())[:-1], "is cut off"),
        (safetensors({"x": np.zeros(3, "f4")}).replace(b"[3]", b"[4]"), "its header is damaged"),
        (safetensors({**decoder_tensors(), UP: np.zeros((96, 64), "u1")}), "has the type U8; only F64, F32, F16, BF16"),
    ],
)
def test_damaged_safetensors(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        converted(tmp_path, {**decoder_folder(), "model.safetensors": data})


def parts(path: Path) -> list[File]:
    """A model in two files, as gguf-py splits one."""
    random = np.random.default_rng(2)
    writer = gguf.GGUFWriter(path / "split.gguf", "llama", split_max_tensors=2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_token_list([f"t{n}" for n in range(100)])
    writer.add_bool("flag", True)
    for number in range(3):
        writer.add_tensor(f"blk.{number}.ffn_up.weight", random.normal(size=(8, 64)).astype("f2"))
    writer.add_tensor("output_norm.weight", np.ones(64, "f4"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return [File.of(each.read_bytes()) for each in sorted(path.glob("split-*.gguf"))]


def test_a_split_file_is_joined(tmp_path: Path) -> None:
    files = parts(tmp_path)
    assert len(files) == 2
    made = Made(tmp_path / "made.gguf", joined(files))
    assert made.types == {**{f"blk.{n}.ffn_up.weight": "F16" for n in range(3)}, "output_norm.weight": "F32"}
    random = np.random.default_rng(2)
    for number in range(3):
        wanted = random.normal(size=(8, 64)).astype("f2").astype("f4")
        assert np.array_equal(made.values[f"blk.{number}.ffn_up.weight"], wanted)
    assert made.facts["tokenizer.ggml.tokens"] == [f"t{n}" for n in range(100)]
    assert made.facts["flag"] is True
    assert not any(key.startswith("split.") for key in made.facts)


def test_a_split_file_is_quantized(tmp_path: Path) -> None:
    files = parts(tmp_path)
    plain, made = (Made(tmp_path / "made.gguf", joined(files, kind)) for kind in ("", "Q8_0"))
    assert made.types["blk.2.ffn_up.weight"] == "Q8_0"
    assert made.types["output_norm.weight"] == "F32"
    assert (made.facts["general.file_type"], made.facts["general.quantization_version"]) == (7, 2)
    assert np.array_equal(made.values["blk.2.ffn_up.weight"], q8_0(plain.values["blk.2.ffn_up.weight"]))


def test_a_quantized_tensor_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    data = np.arange(2 * 144, dtype="u1").reshape(2, 144)
    writer.add_tensor("blk.0.ffn_up.weight", data, raw_dtype=gguf.GGMLQuantizationType.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = joined([File.of(path.read_bytes())], "Q8_0")
    assert [(each.name, each.type) for each in model.tensors] == [("blk.0.ffn_up.weight", "Q4_K")]
    assert b"".join(model.tensors[0].pieces()) == data.tobytes()
    with pytest.raises(InvalidRequest, match="is cut off"):
        joined([File.of(path.read_bytes()[:-40])])
