"""Waiting for `GET /readyz`: one small request at a time, over a plain connection."""

import asyncio
import time
from collections.abc import Callable

POLL_S = 0.05
POLL_MAX_S = 0.5
"""Pause between two probes (s): it grows while a model loads, so that the API's log is not all probes."""

PROBE_S = 5.0
"""Limit of one probe (s). A connection can wait in the listening socket while the API starts."""

IMPATIENT_S = 15.0
"""How often the reason for not being ready is said (s)."""


async def probe(host: str, port: int) -> tuple[int, str]:
    """Status and body of `/readyz`; status 0 and the reason when there is no answer."""
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                name = f"[{host}]" if ":" in host else host
                writer.write(f"GET /readyz HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
                answer = (await reader.read()).decode("utf-8", "replace")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return 0, str(error) or "no answer"
    head, _, body = answer.partition("\r\n\r\n")
    words = head.split(" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0, body.strip()[:300]


async def until_ready(host: str, port: int, say: Callable[[str], None]) -> None:
    """Return when `/readyz` answers 200. Says every now and then what it still waits for."""
    said, pause = time.monotonic(), POLL_S
    while True:
        status, body = await probe(host, port)
        if status == 200:
            return
        if time.monotonic() - said >= IMPATIENT_S:
            said = time.monotonic()
            say(f"not ready yet: {body or status}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, POLL_MAX_S)
