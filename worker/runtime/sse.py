"""Server-sent events, read from bytes as the network delivers them (WHATWG HTML, 9.2 "Server-sent events").

Only `data` is of interest here: `event`, `id` and `retry` fields and comments are skipped, and payloads stay
bytes, so that a JSON parser decodes them once.
"""

DONE = b"[DONE]"
"""The payload with which OpenAI-compatible servers end a stream."""

_BOM = b"\xef\xbb\xbf"
_FIELD = b"data: "


class SSEParser:
    """One stream. `feed` accepts cuts anywhere, also inside a line end or a UTF-8 character."""

    def __init__(self) -> None:
        self._tail = b""
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The payloads of the events that `chunk` completes, in order. What is incomplete is kept."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_lf(chunk)
        blocks = (self._tail + chunk).split(b"\n\n")
        self._tail = blocks.pop()
        payloads = []
        for block in blocks:
            if block.startswith(_FIELD) and b"\n" not in block:  # all that an engine sends
                payloads.append(block[6:])
            elif (payload := self._read(block)) is not None:
                payloads.append(payload)
        return payloads

    def _with_lf(self, chunk: bytes) -> bytes:
        """CRLF and CR as LF. A CR that ends one chunk and an LF that starts the next are one line end."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, block: bytes) -> bytes | None:
        """Any block, by the letter of the specification; None if it has no `data` line."""
        if self._at_start:
            block = block.removeprefix(_BOM)
        self._at_start = False
        lines = []
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"data":
                lines.append(value.removeprefix(b" "))
        return b"\n".join(lines) if lines else None
