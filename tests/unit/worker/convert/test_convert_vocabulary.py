"""Vocabularies in their several files: tokens, types, special ones, and how text is split."""

import struct
from pathlib import Path
from typing import Any

import pytest

from shared.errors import InvalidRequest
from tests.model_folders import QWEN_SPLIT, VOCAB, byte_level, decoder_folder, split
from tests.unit.worker.convert.made import converted, folder
from worker.convert import sentencepiece
from worker.convert.pretokenizer import pretokenizer
from worker.convert.special import chat_template

BYTES = {"type": "ByteLevel", "add_prefix_space": False}
NO_WORDS = {**BYTES, "use_regex": False}


def test_byte_level(tmp_path: Path) -> None:
    facts = converted(tmp_path, decoder_folder()).facts
    assert (facts["tokenizer.ggml.model"], facts["tokenizer.ggml.pre"]) == ("gpt2", "llama-bpe")
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    assert tokens[8:15] == ["Ġ", "ab", "abc", "<|end|>", "<think>", "[PAD13]", "[PAD14]"]
    assert types[8:15] == [1, 1, 1, 3, 4, 5, 5]
    assert len(tokens) == len(types) == VOCAB
    assert facts["tokenizer.ggml.merges"] == ["a b", "ab c"]
    newer = byte_level()
    newer["model"]["merges"] = [["a", "b"], ["ab", "c"]]
    assert converted(tmp_path, decoder_folder(tokenizer=newer)).facts == facts
    assert facts["tokenizer.ggml.eos_token_id"] == 11
    assert "tokenizer.ggml.bos_token_id" not in facts


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([BYTES], "gpt-2"),
        ([{"type": "Digits", "individual_digits": True}, BYTES], "smollm"),
        ([split(QWEN_SPLIT), NO_WORDS], "qwen2"),
        ([split(QWEN_SPLIT.replace(r"\p{N}| ", r"\p{N}{1,3}| ")), NO_WORDS], "llama-bpe"),
    ],
)
def test_how_text_is_split(steps: list[dict[str, Any]], name: str) -> None:
    assert pretokenizer(byte_level(steps)) == name
    assert pretokenizer({"pre_tokenizer": steps[0]}) == name if len(steps) == 1 else True


@pytest.mark.parametrize(
    "steps", [[], [{"type": "Metaspace"}], [split(r"\p{L}+"), NO_WORDS], [split(QWEN_SPLIT), BYTES]]
)
def test_an_unknown_way_is_refused(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest, match="the known ones are gpt-2, llama-bpe, qwen2, smollm, tekken"):
        pretokenizer({"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}})


def test_what_is_put_around_a_text(tmp_path: Path) -> None:
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|end|>"}}, {"Sequence": {"id": "A"}}],
    }
    around = byte_level(post_processor={"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]})
    config = {"bos_token": {"content": "<|end|>"}, "eos_token": "<|end|>"}
    facts = converted(tmp_path, decoder_folder(tokenizer=around, tokenizer_config=config)).facts
    assert facts["tokenizer.ggml.add_bos_token"] is True
    assert facts["tokenizer.ggml.add_eos_token"] is False
    told = {**config, "add_bos_token": False}
    facts = converted(tmp_path, decoder_folder(tokenizer=around, tokenizer_config=told)).facts
    assert facts["tokenizer.ggml.add_bos_token"] is False


def test_numbers_of_special_tokens_in_other_files(tmp_path: Path) -> None:
    files = decoder_folder(tokenizer_config={}, generation_config={"eos_token_id": [12, 11], "bos_token_id": 999})
    facts = converted(tmp_path, files).facts
    assert facts["tokenizer.ggml.eos_token_id"] == 12
    assert "tokenizer.ggml.bos_token_id" not in facts
    assert "tokenizer.chat_template" not in facts


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"tokenizer_config.json": b'{"chat_template": "one"}'}, b"one"),
        ({"tokenizer_config.json": b'{"chat_template": [{"name": "default", "template": "two"}]}'}, b"two"),
        ({"tokenizer_config.json": b'{"chat_template": "one"}', "chat_template.jinja": b"three"}, b"three"),
        ({"chat_template.json": b'{"chat_template": "four"}'}, b"four"),
    ],
)
def test_the_chat_template(files: dict[str, bytes], text: bytes) -> None:
    (pair,) = chat_template(folder(files))
    assert pair.endswith(text)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"tokenizer": None}, r"neither tokenizer.json nor tokenizer.model"),
        ({"tokenizer": []}, "no JSON object"),
        ({"tokenizer": {"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}}, "no vocabulary of numbers by tokens"),
        ({"tokenizer": {"model": {"type": "WordLevel", "vocab": {}}}}, "of the type 'WordLevel', not BPE"),
        ({"tokenizer": byte_level(added_tokens=[{"id": VOCAB, "content": "far"}])}, "'far' has the number 40"),
        ({"tokenizer": {"model": {"type": "BPE", "vocab": {"a": 0}}, **{"pre_tokenizer": BYTES}}}, "has no merges"),
    ],
)
def test_refusals(tmp_path: Path, files: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        converted(tmp_path, decoder_folder(**files))


def field(number: int, value: int | bytes | float) -> bytes:
    """A field of protocol buffers: a varint, bytes, or a 32-bit number."""
    match value:
        case float():
            return bytes([number << 3 | 5]) + struct.pack("<f", value)
        case bytes():
            return varint(number << 3 | 2) + varint(len(value)) + value
        case _:
            return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


PIECES = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("<0x0A>", 0.0, 6), ("▁a", -1.0, 1), ("b", -2.5, 1)]


def pieces(trainer: bytes = field(3, 2) + field(43, (1 << 64) - 1), normalizer: bytes = b"") -> bytes:
    found = [field(1, field(1, text.encode()) + field(2, score) + field(3, kind)) for text, score, kind in PIECES]
    return b"".join(found) + field(2, trainer) + field(3, normalizer)


def test_sentencepiece(tmp_path: Path) -> None:
    files = {**decoder_folder(tokenizer=None, tokenizer_config={}), "tokenizer.model": pieces()}
    facts = converted(tmp_path, files).facts
    assert facts["tokenizer.ggml.model"] == "llama"
    assert facts["tokenizer.ggml.tokens"][:7] == [*(text for text, _, _ in PIECES), "[PAD6]"]
    assert facts["tokenizer.ggml.token_type"][:7] == [*(kind for _, _, kind in PIECES), 5]
    assert facts["tokenizer.ggml.scores"][4:7] == [-1.0, -2.5, -1000.0]
    ids = {name: facts[f"tokenizer.ggml.{name}_token_id"] for name in ("unknown", "bos", "eos")}
    assert ids == {"unknown": 0, "bos": 1, "eos": 2}
    assert facts["tokenizer.ggml.add_space_prefix"] is True
    assert "tokenizer.ggml.padding_token_id" not in facts


def test_what_a_sentencepiece_file_says() -> None:
    model = sentencepiece.read(pieces(field(3, 2) + field(41, 4), field(3, 0)))
    assert model is not None
    assert (model.special["bos"], model.space_prefix) == (4, False)
    assert sentencepiece.read(b"not a model") is None
    assert sentencepiece.read(pieces()[:-9]) is None
    with pytest.raises(InvalidRequest, match="only vocabularies of the type BPE"):
        sentencepiece.read(pieces(field(3, 1)))


def test_sentencepiece_in_tokenizer_json(tmp_path: Path) -> None:
    """Merges in the order of their results' scores: the order is all that matters to who merges."""
    words = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "ab", "▁ab"]
    told = {
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "unk_token": "<unk>",
            "vocab": {word: number for number, word in enumerate(words)},
            "merges": ["a b", "▁ ab"],
        },
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}]},
        "added_tokens": [{"id": n, "content": word, "special": True} for n, word in enumerate(words[:3])],
    }
    facts = converted(tmp_path, decoder_folder(tokenizer=told, tokenizer_config={"bos_token": "<s>"})).facts
    assert facts["tokenizer.ggml.model"] == "llama"
    assert facts["tokenizer.ggml.token_type"][:9] == [2, 3, 3, 6, 1, 1, 1, 1, 1]
    scores = facts["tokenizer.ggml.scores"]
    assert scores[7] > scores[8] > scores[5]
    assert (facts["tokenizer.ggml.bos_token_id"], facts["tokenizer.ggml.add_space_prefix"]) == (1, True)
