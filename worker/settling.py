"""What is stored, brought to the object store beside the jobs that run."""

import asyncio
import logging

from shared.errors import ServiceUnavailable
from shared.redis import UNREACHABLE
from shared.state.keeper import Keeper

log = logging.getLogger("puna.worker")


class Settling:
    """Settles each thing in a task of its own. What fails stays pending, for whichever keeper sweeps next."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, place: str) -> None:
        """A thing has changed: have the object store follow."""
        task = asyncio.create_task(self._settle(place), name=f"settle {place}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep(self) -> None:
        """Finish what others have left, and delete what is too old."""
        await self._keeper.sweep()
        await self._keeper.expire()

    async def finish(self, timeout_s: float) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def _settle(self, place: str) -> None:
        try:
            await self._keeper.settle(place)
        except (*UNREACHABLE, ServiceUnavailable) as error:
            log.warning("%s is left to the next keeper: %s", place, error)
