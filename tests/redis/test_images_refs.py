"""Images between a submit and a worker: kept beside the job, in its one round trip, and put back before it runs."""

import hashlib
from typing import Any

import pytest

from shared import keys
from shared.errors import EngineFailed, JobLost
from shared.frames import Done, Failed
from shared.images.gather import gather
from shared.images.refs import data_url
from shared.redis import connect
from shared.settings import Settings
from tests.pictures import LOOPBACK, asks, noise, part, picture
from tests.pictures import data_url as url_of
from tests.redis.worker_in_test import TENANT, consuming, events_of, functions_side, spec
from worker.images import with_images

pytestmark = pytest.mark.redis

RED, LARGE = picture(), noise()
DIGEST = hashlib.sha256(LARGE).hexdigest()


async def admitted(services: Any, job: Any) -> None:
    from shared.limits import admit

    await admit(services.scripts, job_id=job.id, queue=job.queue, model=job.model, tenant=TENANT, queue_max=9)


async def test_a_worker_gets_the_images_that_a_submit_left(settings: Settings) -> None:
    asked = asks("?", part(url_of(LARGE)), part(url_of(RED)), part(url_of(LARGE)))
    messages, blobs = await gather(asked, LOOPBACK)
    async with functions_side(settings) as services:
        job = spec()
        await services.queue.submit(job, blobs)
        record = await services.redis.hgetall(keys.rq_job(job.id))
        assert sum(map(len, record.values())) < 2000, "the job holds no image"
        full = await with_images(services.redis, {"messages": messages, "seed": 1})
        large, red = data_url("png", LARGE), data_url("png", RED)
        assert full == {"messages": asks("?", part(large), part(red), part(large)), "seed": 1}
        assert messages[0]["content"][1]["image_url"]["url"].startswith("puna:image:"), "the job is left as it is"


async def test_images_live_as_long_as_their_last_job(settings: Settings) -> None:
    _, blobs = await gather(asks(part(url_of(LARGE))), LOOPBACK)
    longest = 30 + settings.lease_s  # the deadline of `spec`
    async with functions_side(settings) as services:
        await services.queue.submit(spec(), blobs)
        assert longest - 2 <= await services.redis.ttl(keys.image(DIGEST)) <= longest
        await services.redis.expire(keys.image(DIGEST), 5)
        await services.queue.submit(spec(), blobs)
        assert longest - 2 <= await services.redis.ttl(keys.image(DIGEST)) <= longest


async def test_a_submit_with_images_is_one_round_trip(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _, blobs = await gather(asks(part(url_of(LARGE)), part(url_of(noise(70)))), LOOPBACK)
    assert len(blobs) == 2
    async with functions_side(settings) as services:
        sent = []
        pipeline = type(services.redis.pipeline())
        execute = pipeline.execute

        async def counted(self: Any, *args: Any, **options: Any) -> Any:
            sent.append(len(self.command_stack))
            return await execute(self, *args, **options)

        monkeypatch.setattr(pipeline, "execute", counted)
        await services.queue.submit(spec(), blobs)
        assert len(sent) == 1
        assert await services.redis.exists(keys.image(DIGEST)) == 1


async def test_without_references_nothing_is_asked(settings: Settings) -> None:
    request = {"messages": asks("?", part(url_of(RED)))}
    nowhere = connect("redis://127.0.0.1:1")
    assert await with_images(nowhere, request) is request
    assert await with_images(nowhere, {"input": ["no messages"]}) == {"input": ["no messages"]}
    messages, _ = await gather(asks(part(url_of(LARGE))), LOOPBACK)
    with pytest.raises(EngineFailed):
        await with_images(nowhere, {"messages": messages})
    await nowhere.aclose()


async def test_a_missing_image_ends_the_job_with_a_clear_error(settings: Settings) -> None:
    messages, blobs = await gather(asks("?", part(url_of(LARGE))), LOOPBACK)
    async with functions_side(settings) as services, consuming(settings):
        job, lost = spec(), spec()
        job.request["messages"] = lost.request["messages"] = messages
        await admitted(services, job)
        await services.queue.submit(job, blobs)
        assert isinstance((await events_of(services, job))[-1], Done)
        await services.redis.delete(keys.image(DIGEST))
        await admitted(services, lost)
        await services.queue.submit(lost)
        (failed,) = [event for event in await events_of(services, lost) if isinstance(event, Failed)]
        assert isinstance(failed.error(), JobLost)
        assert "image" in failed.message
