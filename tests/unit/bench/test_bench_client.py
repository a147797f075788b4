"""How the client reads answers, of the engine and of the API alike."""

import json
from typing import Any

import pytest

from tests.bench.client import BenchError, Raw, Round, read_stream, read_whole

USAGE = {"completion_tokens": 3, "prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}
DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def text(content: str | None, **more: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}], **more})


END = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
TOTAL = event({"choices": [], "usage": USAGE})


def raw(*reads: tuple[float, bytes]) -> Raw:
    return Raw(200, began=10.0, ended=11.0, reads=list(reads))


def test_an_answer_of_the_engine() -> None:
    answer = read_stream(
        raw((10.1, text(None)), (10.2, text("a")), (10.3, text("b") + text("c")), (10.4, END + TOTAL + DONE))
    )
    assert answer.ttft_s == pytest.approx(0.2)
    assert answer.itl_s == pytest.approx([0.1, 0.0])
    assert (answer.tokens, answer.prompt_tokens, answer.cached_tokens, answer.events) == (3, 9, 4, 3)
    assert answer.took_s == 1.0


def test_an_answer_of_the_api_with_comments_null_usage_and_shared_chunks() -> None:
    stream = text("", usage=None) + text("abc", usage=None) + END + TOTAL + DONE
    middle = len(stream) // 2
    answer = read_stream(raw((10.1, b": queued\n\n"), (10.2, stream[:middle]), (10.3, stream[middle:])))
    assert answer.events == 1
    assert answer.itl_s == []
    assert answer.tokens == 3


@pytest.mark.parametrize(
    "stream", [text("a") + TOTAL, text("a") + DONE, TOTAL + DONE, b"", event({"error": {"message": "no"}}) + DONE]
)
def test_half_an_answer_is_no_measurement(stream: bytes) -> None:
    with pytest.raises(BenchError, match="incomplete"):
        read_stream(raw((10.5, stream)))


def test_a_whole_answer() -> None:
    body = json.dumps({"usage": USAGE}).encode()
    answer = read_whole(raw((10.5, body[:5]), (10.6, body[5:])))
    assert (answer.tokens, answer.took_s) == (3, 1.0)


def test_a_round_counts_the_engines_tokens() -> None:
    answer = read_stream(raw((10.2, text("abc") + TOTAL + DONE)))
    assert Round(2.0, [answer, answer]).tokens_per_s == 3
