"""The SSE parser, at every cut."""

import pytest

from worker.runtime.sse import SSEParser


def parse(*chunks: bytes) -> list[bytes]:
    parser = SSEParser()
    return [payload for chunk in chunks for payload in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b'data: {"a":1}\n\ndata: [DONE]\n\n', [b'{"a":1}', b"[DONE]"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b":\n\n: ping\n\ndata: a\n\n", [b"a"]),
        (b": comment\ndata: a\n: comment\n\n", [b"a"]),
        (b"data: a\ndata: b\ndata\ndata:c\n\n", [b"a\nb\n\nc"]),
        (b"event: x\nid: 7\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b"data:a:b\n\n", [b"a:b"]),
        (b"data\n\ndata: \n\n", [b"", b""]),
        (b"\n\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"datax: a\n\n data: b\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        ("data: 😀\n\n".encode(), ["😀".encode()]),
        (b"data: a\n\ndata: cut off\n", [b"a"]),
        (b"", []),
    ],
)
def test_any_cut_gives_the_same_payloads(stream: bytes, payloads: list[bytes]) -> None:
    assert parse(stream) == payloads
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == payloads
    for cut in range(len(stream) + 1):
        assert parse(stream[:cut], b"", stream[cut:]) == payloads


def test_an_event_is_given_as_soon_as_it_is_complete() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [b"a"]
    assert parser.feed(b"data: b\r\n\r\n") == [b"b"]
