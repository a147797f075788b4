"""What is stored, against a real server: who ends a response, what a deletion leaves, what the object store gets."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from functions.services import Services
from functions.state.current import current
from functions.state.resume import resumed
from functions.state.turn import turn_of
from shared import keys
from shared.catalog.store import open_state
from shared.frames import CancelledEvent, Delta, Done, Failed, Frame
from shared.ids import new_id
from shared.job import JobSpec
from shared.limits import Tenant, admit
from shared.responses.head import Head
from shared.responses.ids import response_id
from shared.schema import responses
from shared.settings import Settings
from shared.state import places
from shared.state.conversation import GONE, NO_ITEM, Page
from shared.state.keeper import Keeper
from shared.state.record import StoredResponse
from shared.state.responses import buffer_end
from tests.harness import until
from tests.redis.test_consumer import sent, total  # noqa: F401 (a fixture)
from tests.redis.worker_in_test import QUEUE, TENANT, consuming, events_of, functions_side, spec, submit
from worker.claim import Stop

pytestmark = pytest.mark.redis

OWNER = "a" * 32


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    async with functions_side(settings) as services:
        yield services


@pytest.fixture
def keeper(services: Services) -> Keeper:
    settings = services.settings
    return Keeper(services.redis, services.scripts, open_state(settings), settings, "test")


def message(text: str, id: str = "") -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"id": id or f"msg_{new_id()}", "type": "message", "role": "user", "content": content}


def stored(job: JobSpec, **head: Any) -> tuple[JobSpec, StoredResponse]:
    """A job whose answer is kept as a response."""
    made = Head(response_id(job.id), int(job.created), "fake", owner=OWNER, **head)
    record = StoredResponse(made, QUEUE, job.stream, job.deadline, [message("before")], [message("now")])
    return replace(job, response=made.encode(), brought=record.input if made.conversation else None), record


async def put(services: Services, record: StoredResponse) -> None:
    """A record of a response that has just been queued."""
    pipe = services.redis.pipeline()
    services.responses.open(pipe, record)
    await pipe.execute()


async def queue(services: Services, job: JobSpec, record: StoredResponse) -> None:
    await admit(services.scripts, job_id=job.id, queue=QUEUE, model="fake", tenant=TENANT, queue_max=100)
    await services.queue.submit(job, None, lambda pipe: services.responses.open(pipe, record))


async def pending(services: Services) -> list[str]:
    found: Any = await services.redis.zrange(keys.STATE_PENDING, 0, -1)
    return [place.decode() for place in found]


async def read(services: Services, record: StoredResponse) -> StoredResponse:
    found = await services.responses.get(OWNER, record.head.id)
    assert found is not None
    return found


async def test_the_first_end_of_a_response_is_its_end(services: Services) -> None:
    _, record = stored(spec())
    await put(services, record)
    for text in ("first", "second"):
        await services.responses.end(record, {"id": record.head.id, "status": text, "output": []}, 3)
    found = await read(services, record)
    assert found.response is not None
    assert (found.response["status"], found.last, found.input) == ("first", 3, record.input)
    assert await services.responses.get("b" * 32, record.head.id) is None, "another key"


async def test_an_attempt_that_was_overtaken_cannot_end_a_response(services: Services) -> None:
    job, record = stored(spec())
    await put(services, record)
    await services.redis.xadd(keys.frame_log(job.id), {"c": "x"}, id="2-0")
    for attempt, ends in ((1, False), (2, True)):
        async with services.redis.pipeline(transaction=True) as pipe:
            buffer_end(pipe, (OWNER, record.head.id), {"status": str(attempt), "output": []}, 0, attempt)
            await pipe.execute()
        assert ((await read(services, record)).response is not None) is ends


async def test_what_is_not_durable_yet_does_not_expire(services: Services, keeper: Keeper) -> None:
    _, record = stored(spec())
    await put(services, record)
    place = places.response(OWNER, record.head.id)
    assert place is not None
    assert await services.redis.ttl(keys.state(place)) > 0, "a response that nobody ends lapses"
    await services.responses.end(record, {"status": "completed", "output": []}, 3)
    assert await services.redis.ttl(keys.state(place)) == -1
    assert await pending(services) == [place]
    assert await keeper.settle(place)
    assert await pending(services) == []
    assert 0 < await services.redis.ttl(keys.state(place)) <= services.settings.state_hot_s
    whole = await read(services, record)
    await services.redis.flushall()
    assert await read(services, record) == whole, "the object store has all of it"


async def test_a_deleted_response_stays_deleted(services: Services, keeper: Keeper) -> None:
    _, record = stored(spec())
    place = places.response(OWNER, record.head.id) or ""
    await put(services, record)
    await services.responses.end(record, {"status": "completed", "output": []}, 3)
    await keeper.settle(place)
    await services.responses.delete(OWNER, record.head.id)
    await services.responses.end(record, {"status": "completed", "output": []}, 3)
    assert await services.responses.get(OWNER, record.head.id) is None
    assert await keeper.settle(place)
    await services.redis.flushall()
    assert await services.responses.get(OWNER, record.head.id) is None


async def test_a_keeper_that_read_before_a_deletion_does_not_bring_it_back(
    services: Services, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, record = stored(spec())
    place = places.response(OWNER, record.head.id) or ""
    await put(services, record)
    await services.responses.end(record, {"status": "completed", "output": []}, 3)
    write = keeper._durable.put

    async def deleted_meanwhile(*args: Any) -> None:
        monkeypatch.undo()
        await services.responses.delete(OWNER, record.head.id)
        await write(*args)

    monkeypatch.setattr(keeper._durable, "put", deleted_meanwhile)
    assert await keeper.settle(place)
    await services.redis.flushall()
    assert await services.responses.get(OWNER, record.head.id) is None


async def test_a_sweep_finishes_what_another_worker_has_left(services: Services, settings: Settings) -> None:
    settings = replace(settings, reap_s=0.05)
    keeper = Keeper(services.redis, services.scripts, open_state(settings), settings, "other")
    records = [stored(spec())[1] for _ in range(5)]
    for record in records:
        await put(services, record)
        await services.responses.end(record, {"status": "completed", "output": []}, 3)
    while await pending(services):
        await keeper.sweep()
        await asyncio.sleep(0.01)
    await services.redis.flushall()
    assert all([await services.responses.get(OWNER, record.head.id) for record in records])


async def test_old_files_are_deleted_and_conversations_are_not(services: Services, settings: Settings) -> None:
    store = open_state(settings)
    store.put("responses/o/old", b"{}")
    store.put("conversations/o/old", b"{}")
    for kept_s, deleted in ((1000.0, 0), (1e-9, 1)):
        await services.redis.delete(keys.EXPIRY_LOCK)
        keeper = Keeper(services.redis, services.scripts, store, replace(settings, state_kept_s=kept_s), "t")
        assert await keeper.expire() == deleted
        assert await keeper.expire() == 0, "not more often than needed"
    assert [entry.key for entry in store.list("")] == ["conversations/o/old"]


async def test_the_worker_stores_what_it_generated_with_the_last_frame(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        job, record = stored(spec())
        await queue(services, job, record)
        events = await events_of(services, job)
        assert isinstance(events[-1], Done)
        found = await read(services, record)  # no waiting: it came with the frame
        assert found.response is not None
        assert found.response["status"] == "completed"
        assert found.response["output"][0]["content"][0]["text"] == "0 1 2 "
        await until(lambda: list(open_state(settings).list("responses/")), "the object store has it")


async def test_a_response_that_is_cancelled_in_the_queue_is_cancelled(services: Services) -> None:
    job, record = stored(spec(), background=True)
    await services.queue.submit(job, None, lambda pipe: services.responses.open(pipe, record))
    assert (await current(services, record))["status"] == "queued"
    assert await services.queue.cancel(job.id, QUEUE, "test", record.head) == "queued"
    assert isinstance((await events_of(services, job))[-1], CancelledEvent)
    assert (await current(services, await read(services, record)))["status"] == "cancelled"
    assert await pending(services) == [places.response(OWNER, record.head.id)]


async def test_a_running_response_is_cancelled_by_its_worker(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        job, record = stored(spec(rate=50, tokens=1000))
        await queue(services, job, record)
        log = keys.frame_log(job.id)
        while not await services.redis.xlen(log):
            await asyncio.sleep(0.01)
        assert (await current(services, record))["status"] == "in_progress"
        assert await services.queue.cancel(job.id, QUEUE, "test", record.head) == "running"
        await events_of(services, job)
        response = (await read(services, record)).response
        assert response is not None
        assert response["status"] == "cancelled"


async def test_the_reaper_ends_a_response_with_what_was_said_of_it(settings: Settings) -> None:
    """The worker is stopped in the middle without a word: what it had said is in the frames."""
    async with functions_side(settings) as services:
        job, record = stored(spec(rate=200, tokens=10_000))
        async with consuming(settings, lease_s=60.0, renew_s=50.0, reap_s=50.0) as consumer:
            await queue(services, job, record)
            while await services.redis.xlen(keys.frame_log(job.id)) < 5:
                await asyncio.sleep(0.01)
            (claim,) = consumer._running.values()
            claim.stop(Stop.LOST)
            await until(lambda: not consumer._running, "the worker has let go")
            await services.redis.zadd(keys.LEASES, {job.id: 1})
            await services.redis.delete(keys.REAPER_LOCK)
            await consumer._reaper.run_once()
        events = await events_of(services, job)
        assert isinstance(events[-1], Failed)
        response = (await read(services, record)).response
        assert response is not None
        assert (response["status"], response["error"]["code"]) == ("failed", "server_error")
        said = "".join(event.text for event in events if hasattr(event, "text"))
        assert response["output"][0]["content"][0]["text"] == said != ""


async def test_a_response_whose_job_was_lost_failed(services: Services) -> None:
    _, record = stored(spec(), background=True)
    await put(services, record)
    answer = await current(services, record)
    assert (answer["status"], answer["error"]["code"]) == ("failed", "server_error")
    assert (await read(services, record)).response == answer, "it is written down"


async def test_a_stream_whose_beginning_is_not_kept_breaks_off_and_its_response_goes_on(services: Services) -> None:
    job, record = stored(spec(), background=True)
    await services.queue.submit(job, None, lambda pipe: services.responses.open(pipe, record))
    await services.redis.xadd(keys.frame_log(job.id), {"d": Frame(1, 5, (Delta("x"),)).encode()}, id="1-5")
    async with resumed(services, record) as chunks:
        text = b"".join([chunk async for chunk in chunks]).decode()
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: ")]
    assert names == ["response.created", "response.queued", "error"]
    assert (await current(services, await read(services, record)))["status"] == "in_progress"


async def test_turn_200_costs_the_round_trips_of_turn_2(services: Services, sent: Counter[Any]) -> None:  # noqa: F811
    tenant = Tenant("default", OWNER)
    previous: str | None = None
    trips: list[int] = []
    sizes: list[int] = []
    for number in range(200):
        asked = responses.parse({"model": "fake", "input": f"turn {number}", "previous_response_id": previous})
        before = total(sent, services.redis)
        turn = await turn_of(services, tenant, asked)
        trips.append(total(sent, services.redis) - before)
        assert len(turn.prior) == 2 * number, "every earlier turn is there"
        _, record = stored(spec())
        record = replace(record, prior=turn.prior, input=[message(f"turn {number}")])
        sizes.append(sum(map(len, record.fields().values())))
        await put(services, record)
        answer = {**message("answer"), "role": "assistant", "status": "completed"}
        await services.responses.end(record, {"id": record.head.id, "status": "completed", "output": [answer]}, 3)
        previous = record.head.id
    assert trips[0] == 0
    assert set(trips[1:]) == {1}
    assert sizes[199] < 2.1 * sizes[100], "what a turn writes grows with its tokens"


async def test_a_conversation_is_read_and_changed(services: Services, keeper: Keeper) -> None:
    conversations = services.conversations
    made = await conversations.create(OWNER, {"a": "b"}, [message("1", "msg_1"), message("2", "msg_2")])
    assert await conversations.get(OWNER, made.id) == made
    assert await conversations.append(OWNER, made.id, [message("3", "msg_3")])
    assert await conversations.append(OWNER, made.id, [message("again", "msg_3")]), "a repeat"
    page = await conversations.page(OWNER, made.id, after="msg_1", limit=1, order="asc")
    assert page == Page([message("2", "msg_2")], True)
    page = await conversations.page(OWNER, made.id, after="", limit=5, order="desc")
    assert isinstance(page, Page)
    assert ([item["id"] for item in page.items], page.more) == (["msg_3", "msg_2", "msg_1"], False)
    assert await conversations.page(OWNER, made.id, after="x", limit=5, order="desc") == NO_ITEM
    assert await conversations.remove(OWNER, made.id, "msg_2") == b"ok"
    assert await conversations.remove(OWNER, made.id, "msg_2") == NO_ITEM
    assert await conversations.item(OWNER, made.id, "msg_2") == NO_ITEM
    changed = await conversations.update(OWNER, made.id, {"c": "d"})

    await keeper.settle(places.conversation(OWNER, made.id) or "")
    await services.redis.flushall()
    assert await conversations.items(OWNER, made.id) == [message("1", "msg_1"), message("3", "msg_3")]
    assert await conversations.get(OWNER, made.id) == changed
    await services.redis.flushall()
    assert await conversations.append(OWNER, made.id, [message("4", "msg_4")]), "warmed up by a change, too"
    assert len(await conversations.items(OWNER, made.id) or []) == 3

    for other in ("b" * 32, "anonymous"):
        assert await conversations.get(other, made.id) is None
        assert await conversations.items(other, made.id) is None
        assert not await conversations.append(other, made.id, [])
        assert await conversations.remove(other, made.id, "msg_1") == GONE
        assert not await conversations.delete(other, made.id)
    assert await conversations.delete(OWNER, made.id)
    assert await conversations.get(OWNER, made.id) is None
    assert await conversations.items(OWNER, made.id) is None
    assert not await conversations.delete(OWNER, made.id)
    await keeper.settle(places.conversation(OWNER, made.id) or "")
    await services.redis.flushall()
    assert await conversations.get(OWNER, made.id) is None


async def test_a_response_adds_its_items_to_its_conversation_once_it_is_answered(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        made = await services.conversations.create(OWNER, {}, [message("1", "msg_1")])
        job, record = stored(spec(), conversation=made.id)
        await queue(services, job, record)
        await events_of(services, job)
        items = await services.conversations.items(OWNER, made.id)
        assert items is not None
        assert [item["role"] for item in items] == ["user", "user", "assistant"]
        assert items[1:2] == record.input
        job, record = stored(spec(rate=50, tokens=1000), conversation=made.id)
        await queue(services, job, record)
        while not await services.redis.xlen(keys.frame_log(job.id)):
            await asyncio.sleep(0.01)
        await services.queue.cancel(job.id, QUEUE, "test", record.head)
        await events_of(services, job)
        assert await services.conversations.items(OWNER, made.id) == items, "a cancelled response adds nothing"


async def test_a_conversation_stays_hot_while_a_response_is_under_way(services: Services, keeper: Keeper) -> None:
    made = await services.conversations.create(OWNER, {}, [message("1", "msg_1")])
    place = places.conversation(OWNER, made.id) or ""
    await keeper.settle(place)
    for key in (keys.state(place), keys.state_order(place)):
        await services.redis.expire(key, 5)
    pipe = services.redis.pipeline()
    services.conversations.hold(pipe, OWNER, made.id, 1000)
    await pipe.execute()
    for key in (keys.state(place), keys.state_order(place)):
        assert await services.redis.ttl(key) > 1000


async def test_an_answer_that_nothing_is_kept_of_leaves_nothing(settings: Settings) -> None:
    async with consuming(settings), functions_side(settings) as services:
        job = spec()
        await submit(services, job)
        await events_of(services, job)
        assert [key async for key in services.redis.scan_iter("puna:state*")] == []
        assert time.time() < job.deadline
