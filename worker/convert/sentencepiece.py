"""`tokenizer.model`: a vocabulary of SentencePiece, a message of protocol buffers of which little is read.

Sources: sentencepiece's `sentencepiece_model.proto`; https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from shared.errors import InvalidRequest

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_TEXT, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE: Final = 3
_SPECIAL: Final = {40: "unk", 41: "bos", 42: "eos", 43: "pad"}
_DEFAULTS: Final = {"unk": 0, "bos": 1, "eos": 2}
_SPACE_PREFIX: Final = 3
_UNIGRAM, _BPE = 1, 2

Value: TypeAlias = int | bytes


class Piece(NamedTuple):
    text: str
    score: float
    type: int


@dataclass(frozen=True, slots=True)
class Model:
    """`special` are numbers of tokens by kind; `space_prefix` says that a text gets a space before it."""

    pieces: list[Piece]
    special: Mapping[str, int]
    space_prefix: bool


def read(data: bytes) -> Model | None:
    """None for what is no such file. Raises InvalidRequest for a vocabulary that is not merged pair by pair."""
    try:
        fields = list(_fields(data))
        pieces = [_piece(value) for number, value in fields if number == _PIECES and isinstance(value, bytes)]
        trainer = _message(fields, _TRAINER)
        normalizer = _message(fields, _NORMALIZER)
    except (ValueError, IndexError, struct.error):
        return None
    if not pieces or not any(piece.text for piece in pieces):
        return None
    if trainer.get(_MODEL_TYPE, _UNIGRAM) != _BPE:
        raise InvalidRequest("tokenizer.model: only vocabularies of the type BPE are supported", param="files")
    told = {kind: _signed(trainer.get(number, _DEFAULTS.get(kind, -1))) for number, kind in _SPECIAL.items()}
    special = {kind: number for kind, number in told.items() if 0 <= number < len(pieces)}
    return Model(pieces, special, bool(normalizer.get(_SPACE_PREFIX, 1)))


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    text, score, type_ = fields.get(_TEXT, b""), fields.get(_SCORE, bytes(4)), fields.get(_TYPE, 1)
    if not isinstance(text, bytes) or not isinstance(score, bytes) or not isinstance(type_, int):
        raise ValueError("a piece of the wrong shape")
    return Piece(text.decode("utf-8"), struct.unpack("<f", score)[0], type_)


def _message(fields: list[tuple[int, Value]], wanted: int) -> dict[int, Value]:
    """The fields of a message inside; empty when it is not there."""
    data = next((value for number, value in fields if number == wanted), b"")
    return dict(_fields(data)) if isinstance(data, bytes) else {}


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field: a varint is an int, all else bytes. Raises ValueError or IndexError."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _varint(data, at)
            case 5:
                length = 4
            case _:
                raise ValueError("no such wire type")
        if at + length > len(data):
            raise ValueError("cut off")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("too long")


def _signed(value: Value) -> int:
    """An int32, whose negative numbers are written with 64 bits."""
    number = value if isinstance(value, int) else -1
    return number - (1 << 64) if number >> 63 else number
