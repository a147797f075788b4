"""Several streams of events as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeAlias

from shared.frames import Event

Source: TypeAlias = AsyncGenerator[list[Event], None]


async def fan_out(sources: Sequence[Source], at_once: int) -> AsyncGenerator[list[Event], None]:
    """Batches of all sources as they come, `at_once` sources at a time, started in their order.

    The first runs alone until it has given something, so that a refusal it meets comes before any output. What one
    raises ends all; closing the generator closes all, and waits until they are.
    """
    out: asyncio.Queue[list[Event] | BaseException | None] = asyncio.Queue()
    gate = asyncio.Semaphore(at_once)
    begun = asyncio.Event()

    async def drain(source: Source, *, first: bool) -> None:
        try:
            if not first:
                await begun.wait()
            async with gate:
                async for batch in source:
                    out.put_nowait(batch)
                    begun.set()
            out.put_nowait(None)
        except Exception as error:
            out.put_nowait(error)
        finally:
            begun.set()
            await source.aclose()

    tasks = [asyncio.create_task(drain(source, first=not i)) for i, source in enumerate(sources)]
    try:
        running = len(tasks)
        while running:
            batch = await out.get()
            if isinstance(batch, BaseException):
                raise batch
            if batch is None:
                running -= 1
            else:
                yield batch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for source in sources:
            await source.aclose()  # of a task that was cancelled before it began
