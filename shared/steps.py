"""Work that blocks and tells how far it is, followed from an event loop."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeAlias

Tell: TypeAlias = Callable[[dict[str, Any]], None]
"""Takes a step: `{"status", "digest"?, "total"?, "completed"?}`."""

Work: TypeAlias = Callable[[Tell, threading.Event], None]
"""Does the work, telling its steps. It looks at the event between two of them at least, and ends when it is set."""


async def steps(work: Work) -> AsyncGenerator[list[dict[str, Any]], None]:
    """The steps of work that runs in a thread, those that gathered meanwhile together. Raises what it raises.

    Closing the generator stops the work, and waits until it has stopped.
    """
    loop = asyncio.get_running_loop()
    stop, news = threading.Event(), asyncio.Event()
    told: list[dict[str, Any]] = []

    def tell(step: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(_take, step)

    def _take(step: dict[str, Any]) -> None:
        told.append(step)
        news.set()

    done = asyncio.ensure_future(asyncio.to_thread(work, tell, stop))
    done.add_done_callback(lambda _: news.set())
    try:
        while True:
            await news.wait()
            news.clear()
            # What was told before the end has been taken by now: calls into a loop keep their order.
            ended = done.done()
            if told:
                yield [told.pop(0) for _ in range(len(told))]
            if ended:
                break
        await done
    finally:
        stop.set()
        with contextlib.suppress(Exception):
            await done
