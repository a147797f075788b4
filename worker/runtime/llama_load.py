"""A request for no text: what it asked for is done once the model is loaded."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from shared.frames import Done, Event
from worker.runtime.llama_http import EngineClient


async def load(engine: EngineClient, request: Mapping[str, Any]) -> AsyncGenerator[list[Event], None]:
    """One Done, of nothing."""
    yield [Done(0, 0)]
