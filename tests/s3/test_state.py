"""What is stored, in a real S3 server: newer versions win, deletions hold, and Redis may lose everything."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest

from functions.services import Services
from shared.catalog.s3 import S3Store
from shared.catalog.store import open_state
from shared.errors import ServiceUnavailable
from shared.settings import Settings
from shared.state import places
from shared.state.durable import Durable
from shared.state.keeper import Keeper
from tests.harness import Valkey, free_port
from tests.redis.test_state import OWNER, message, put, stored
from tests.redis.worker_in_test import spec

pytestmark = [pytest.mark.s3, pytest.mark.redis]


@pytest.fixture
async def services(valkey: Valkey, s3_endpoint: str) -> AsyncIterator[Services]:
    state = f"s3://puna-test/state/{uuid4().hex}"
    settings = Settings.load({"REDIS_URL": valkey.url, "PUNA_STATE": state, "PUNA_S3_ENDPOINT": s3_endpoint})
    store = open_state(settings)
    assert isinstance(store, S3Store)
    with suppress(store._client().exceptions.BucketAlreadyOwnedByYou, store._client().exceptions.BucketAlreadyExists):
        store._client().create_bucket(Bucket="puna-test")
    store.close()
    services = Services.open(settings)
    yield services
    await services.close()
    services.responses._durable._store.close()  # type: ignore[attr-defined]


@pytest.fixture
def store(services: Services) -> Iterator[S3Store]:
    store = open_state(services.settings)
    assert isinstance(store, S3Store)
    yield store
    store.close()


@pytest.fixture
def keeper(services: Services, store: S3Store) -> Keeper:
    return Keeper(services.redis, services.scripts, store, services.settings, "test")


async def test_a_response_survives_the_loss_of_redis(services: Services, keeper: Keeper) -> None:
    _, record = stored(spec())
    await put(services, record)
    await services.responses.end(record, {"status": "completed", "output": []}, 3)
    await keeper.settle(places.response(OWNER, record.head.id) or "")
    whole = await services.responses.get(OWNER, record.head.id)
    await services.redis.flushall()
    assert await services.responses.get(OWNER, record.head.id) == whole
    assert await services.responses.get("b" * 32, record.head.id) is None
    assert await keeper.expire() == 0, "the lifecycle rule's affair"


async def test_an_older_version_never_takes_the_place_of_a_newer_one(store: S3Store) -> None:
    durable = Durable(store)
    for version, wins in ((1, 1), (3, 3), (2, 3), (1, 3), (4, 4)):
        await durable.put("conversations/o/c", version, b'{"version": %d}' % version)
        assert await durable.get("conversations/o/c") == b'{"version": %d}' % wins
    await durable.delete("conversations/o/c")
    assert await durable.get("conversations/o/c") is None


async def test_a_conversation_survives_the_loss_of_redis(services: Services, keeper: Keeper) -> None:
    made = await services.conversations.create(OWNER, {}, [message("1", "msg_1")])
    place = places.conversation(OWNER, made.id) or ""
    await keeper.settle(place)
    await services.conversations.append(OWNER, made.id, [message("2", "msg_2")])
    await keeper.settle(place)
    await services.redis.flushall()
    items = await services.conversations.items(OWNER, made.id)
    assert items == [message("1", "msg_1"), message("2", "msg_2")]


async def test_while_the_object_store_is_away_nothing_is_lost(services: Services, keeper: Keeper) -> None:
    _, record = stored(spec())
    await put(services, record)
    await services.responses.end(record, {"status": "completed", "output": []}, 3)
    away = S3Store("puna-test", endpoint=f"http://127.0.0.1:{free_port()}")
    place = places.response(OWNER, record.head.id) or ""
    with pytest.raises(ServiceUnavailable, match="what is stored"):
        await Keeper(services.redis, services.scripts, away, services.settings, "t").settle(place)
    away.close()
    assert await services.responses.get(OWNER, record.head.id) is not None
    assert await keeper.settle(place)
