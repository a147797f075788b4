"""Events as `text_completion` objects, and tokens in the legacy shape of log probabilities."""

from collections.abc import AsyncGenerator
from typing import Any

import orjson
from openai.types import Completion

from functions.inference.collect import collect
from functions.inference.completion_chunks import CompletionChunks, completion
from functions.inference.legacy_logprobs import LegacyLogprobs
from shared.frames import Delta, Done, Event, Finish, Progress, Started
from shared.job import JobSpec


def entry(data: bytes, logprob: float | None = -0.5, top: tuple[tuple[str, float], ...] = (), name: str = "") -> Any:
    return {
        "token": name or data.decode(errors="replace"),
        "logprob": logprob,
        "bytes": list(data),
        "top_logprobs": [{"token": token, "logprob": each, "bytes": list(token.encode())} for token, each in top],
    }


def test_offsets_are_of_characters_and_go_on_from_piece_to_piece() -> None:
    legacy = LegacyLogprobs(0)
    first = legacy.read([entry("né".encode()), entry("漢字".encode()), entry("🙂".encode())])
    assert first["tokens"] == ["né", "漢字", "🙂"]
    assert first["text_offset"] == [0, 2, 4]
    assert legacy.read([entry(b"x")])["text_offset"] == [5]


def test_a_token_inside_a_character_has_its_offset_and_its_bytes_for_a_name() -> None:
    read = LegacyLogprobs(0).read([entry(b"a"), entry(b" \xe6"), entry(b"\xbc"), entry(b"\xa2"), entry(b"b")])
    assert read["tokens"] == ["a", "bytes:\\x20\\xe6", "bytes:\\xbc", "bytes:\\xa2", "b"]
    assert read["text_offset"] == [0, 1, 2, 2, 3]


def test_a_token_without_text_has_its_name() -> None:
    read = LegacyLogprobs(0).read([entry(b"", name="<|im_start|>"), entry(b"x")])
    assert read["tokens"] == ["<|im_start|>", "x"]
    assert read["text_offset"] == [0, 0]


def test_the_token_itself_is_among_the_likeliest_or_one_more() -> None:
    top = (("a", -0.1), ("b", -2.0), ("c", -3.0))
    read = LegacyLogprobs(2).read([entry(b"a", -0.1, top), entry(b"z", -9.0, top)])
    assert read["top_logprobs"] == [{"a": -0.1, "b": -2.0}, {"a": -0.1, "b": -2.0, "z": -9.0}]
    assert LegacyLogprobs(0).read([entry(b"z", -9.0, top)])["top_logprobs"] == [{"z": -9.0}]


def test_the_first_token_of_a_text_has_no_probability() -> None:
    read = LegacyLogprobs(1).read([entry(b"a", None), entry(b"b", -1.0)])
    assert read["token_logprobs"] == [None, -1.0]
    assert read["top_logprobs"] == [None, {"b": -1.0}]


SPEC = JobSpec("id", "model-x", "m", {"prompts": ["p", "q"], "logprobs": 1}, 12.7, 60.0, kind="completion")

EVENTS: tuple[tuple[Event, ...], ...] = (
    (Started("w", "fp_1"), Progress("prefill", 1, 2)),
    (),
    (Delta("a", 1, 0, [entry(b"a")]), Delta("x", 1, 1, [entry(b"x")])),
    (Delta("b", 1, 0, [entry(b"b")]), Finish("length", 0)),
    (Finish("stop", 1), Done(4, 3, 2)),
)


async def events() -> AsyncGenerator[tuple[Event, ...], None]:
    for batch in EVENTS:
        yield batch


async def test_one_object() -> None:
    body = completion(SPEC, await collect(events()))
    Completion.model_validate(body, strict=True)
    assert {**body, "choices": []} == {
        "id": "cmpl-id",
        "object": "text_completion",
        "created": 12,
        "model": "m",
        "system_fingerprint": "fp_1",
        "choices": [],
        "usage": {
            "prompt_tokens": 4,
            "completion_tokens": 3,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 2},
        },
    }
    assert [(each["index"], each["text"], each["finish_reason"]) for each in body["choices"]] == [
        (0, "ab", "length"),
        (1, "x", "stop"),
    ]
    assert body["choices"][0]["logprobs"]["text_offset"] == [0, 1]


async def test_chunks_have_the_same_shape_and_the_reason_last() -> None:
    pieces = [piece async for piece in CompletionChunks(SPEC, include_usage=True).relay(events())]
    assert pieces[0] == b": prefill\n\n"
    payloads = [line.removeprefix(b"data: ") for line in b"".join(pieces[1:]).split(b"\n\n") if line]
    assert payloads.pop() == b"[DONE]"
    *chunks, last = [orjson.loads(payload) for payload in payloads]
    told = [(each["index"], each["text"], each["finish_reason"]) for chunk in chunks for each in chunk["choices"]]
    assert told == [(0, "a", None), (1, "x", None), (0, "b", None), (0, "", "length"), (1, "", "stop")]
    assert chunks[2]["choices"][0]["logprobs"]["text_offset"] == [1]
    assert all(chunk["usage"] is None and chunk["system_fingerprint"] == "fp_1" for chunk in chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)


async def test_nothing_about_what_was_not_asked() -> None:
    spec = JobSpec("id", "model-x", "m", {"prompts": ["p"]}, 12.7, 60.0, kind="completion")
    assert completion(spec, await collect(events()))["choices"][0]["logprobs"] is None
    text = b"".join([piece async for piece in CompletionChunks(spec, include_usage=False).relay(events())])
    assert b'"logprobs":null' in text
    assert b"usage" not in text
