"""All children of the stack: started one after the other, stopped in the reverse order."""

import asyncio

from infra.local.backoff import Backoff
from infra.local.child import Child, Effects
from infra.local.home import StackError
from infra.local.process import born
from infra.local.spawn import ChildSpec


class Supervisor:
    """Owns the children. Each child restarts by itself; the order matters only at the ends."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._children: list[Child] = []
        self._hasten = asyncio.Event()

    async def start(self, spec: ChildSpec, backoff: Backoff | None = None) -> Child:
        """Start one more child and keep it. Raises StackError if it cannot be started at all."""
        child = Child(spec, self._effects, backoff)
        self._children.append(child)
        try:
            await child.start()
        except OSError as error:
            raise StackError(f"{spec.name} cannot be started: {error}") from None
        return child

    def marks(self) -> dict[str, tuple[int, str]]:
        """Name → pid and birth mark of every child that runs now."""
        pids = {child.spec.name: child.pid for child in self._children if child.pid is not None}
        return {name: (pid, mark) for name, pid in pids.items() if (mark := born(pid))}

    def hasten(self) -> None:
        """Give no more time to children that are asked to stop."""
        self._hasten.set()

    async def stop(self) -> None:
        """Stop the last started first: the API lets its streams end while the worker still feeds them."""
        while self._children:
            await self._children[-1].stop(self._hasten)
            self._children.pop()
