"""Work that blocks and tells how far it is, followed from an event loop."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeAlias

Work: TypeAlias = Callable[[threading.Event], Iterator[dict[str, Any]]]
"""Begins the work. It looks at the event between two steps at least, and ends when it is set."""


async def steps(work: Work) -> AsyncGenerator[dict[str, Any], None]:
    """The steps, each made in a thread. Closing the generator stops the work, and waits until it has stopped."""
    stop = threading.Event()
    made = work(stop)
    running: asyncio.Future[dict[str, Any] | None] | None = None
    try:
        while True:
            running = asyncio.ensure_future(asyncio.to_thread(next, made, None))
            step = await asyncio.shield(running)
            if step is None:
                return
            yield step
    finally:
        stop.set()
        if running is not None and not running.done():
            with contextlib.suppress(Exception):
                await running
        with contextlib.suppress(Exception):
            await asyncio.to_thread(made.close)  # type: ignore[attr-defined]
