"""What handlers need and a function instance keeps: connections, the queue, the catalog."""

import asyncio
from dataclasses import dataclass

from redis.asyncio import Redis

from shared.catalog.catalog import Catalog
from shared.catalog.store import Store, open_state, open_store
from shared.queue import JobQueue
from shared.redis import Scripts, connect
from shared.settings import Settings
from shared.state.conversations import Conversations
from shared.state.durable import Durable
from shared.state.responses import Responses
from shared.stream.pubsub import Subscriptions

_RETRIES = 4
"""How often a command is repeated while Redis restarts, about a second in all. Every command of the functions may run
twice: a submit is told apart by its job id."""


@dataclass(frozen=True, slots=True)
class Services:
    """One event loop's clients. Connections are made at first use and kept between invocations."""

    settings: Settings
    redis: "Redis"
    scripts: Scripts
    queue: JobQueue
    subscriptions: Subscriptions
    store: Store
    catalog: Catalog
    responses: Responses
    conversations: Conversations

    @classmethod
    def open(cls, settings: Settings) -> "Services":
        redis = connect(settings.redis_url, retries=_RETRIES)
        scripts = Scripts(redis)
        durable = Durable(open_state(settings))
        store = open_store(settings)
        return cls(
            settings=settings,
            redis=redis,
            scripts=scripts,
            queue=JobQueue(redis, scripts, settings),
            subscriptions=Subscriptions(settings.redis_url),
            store=store,
            catalog=Catalog(store),
            responses=Responses(redis, scripts, durable, settings),
            conversations=Conversations(redis, scripts, durable, settings),
        )

    async def close(self) -> None:
        await self.subscriptions.close()
        await self.redis.connection_pool.disconnect()


class ServicesOfLoop:
    """Hands out the services of the running event loop; a new loop gets new ones, as connections belong to one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._services: Services | None = None

    def get(self) -> Services:
        loop = asyncio.get_running_loop()
        if self._services is None or self._loop is not loop:
            self._loop, self._services = loop, Services.open(self.settings)
        return self._services

    async def close(self) -> None:
        if self._services is not None:
            await self._services.close()
            self._services = None
