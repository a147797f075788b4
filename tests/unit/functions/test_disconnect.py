import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from functions.disconnect import ClientGone, unless_gone


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def leaves_after(*types: str) -> Callable[[], Awaitable[Message]]:
    messages = iter(types)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": next(messages)}

    return receive


async def test_the_work_of_a_client_that_stays_is_done() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await unless_gone(stays, work()) == 7


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await unless_gone(stays, work())


async def test_the_work_of_a_client_that_leaves_is_cancelled_and_tidied_up_first() -> None:
    tidied = False

    async def work() -> None:
        nonlocal tidied
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidied = True

    with pytest.raises(ClientGone):
        await unless_gone(leaves_after("http.request", "http.disconnect"), work())
    assert tidied, "the caller goes on while the work still runs"


async def test_cancelling_it_cancels_the_work() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(unless_gone(stays, work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_work_that_was_done_when_the_client_left_counts() -> None:
    async def work() -> int:
        return 7

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    assert await unless_gone(gone, work()) == 7
