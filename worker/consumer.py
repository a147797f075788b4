"""The concurrent consumer: as many jobs at once as the engine has slots, in one process.

RQ's own workers run one job at a time in a forked child or in place. This one speaks RQ's job format and keeps RQ's
books (`shared.ledger`), so `rq info` and RQ's registries stay true, and needs three round trips per job besides its
frames: claim, start (with the first frame) and end (with the last).
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable
from typing import Any

import orjson
from redis.asyncio import Redis
from rq.worker.base import BaseWorker, WorkerStatus

from shared import keys
from shared.catalog.store import open_state
from shared.ledger import Ledger, UnknownJob, load, spec_of
from shared.reaper import Reaper
from shared.redis import UNREACHABLE, Scripts, connect, connect_sync
from shared.settings import Settings
from shared.state.keeper import Keeper
from shared.stream.pubsub import Subscriptions
from worker.claim import Claim, Stop
from worker.execute import Executor
from worker.gate import AlwaysLoaded, Gate
from worker.leases import Leases
from worker.runtime.engine import Engine, EngineState
from worker.settling import Settling

log = logging.getLogger("puna.worker")

_POLL_S = 1.0
"""A worker looks for jobs at least this often (s), should a wake-up get lost."""

_RETRIES = 2
"""How often a command is repeated when its connection turns out to be broken. Each may run twice: a claim whose answer
is lost lapses with its lease, everything else has the same effect."""

_REMEMBERED_CANCELS = 1024
"""Cancellations kept for jobs whose claim is still on its way here."""

_SERVICE_WEIGHT = 0.2
"""Weight of the newest job in the moving mean of the service time."""


class Consumer:
    """Takes jobs of one queue and runs them on one engine, until it is drained. `gate` says when it may take them.

    `subscriptions` are the process', which its consumers share.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        subscriptions: Subscriptions,
        *,
        model: str,
        queue: str,
        gate: Gate | None = None,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._gate = gate or AlwaysLoaded(engine)
        self._model = model
        self._queue = queue
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._redis: Redis = connect(settings.redis_url, retries=_RETRIES, pool_size=engine.slots + 4)
        self._scripts = Scripts(self._redis)
        self._sync = connect_sync(settings.redis_url)
        self._subscriptions = subscriptions
        self._running: dict[str, Claim] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._cancels: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._backlog = False
        """More may wait than was taken: a slot that becomes free must look. Otherwise a submit wakes the worker."""
        self._draining = False
        self._started = time.time()
        self._service_ms = 0.0
        self._unready_since = time.monotonic()

    async def run(self) -> None:
        """Serve until `drain` is called. Outlives Redis: everything is tried again until it is back."""
        await self._register()
        self._leases = Leases(self._scripts, self._settings)
        store = open_state(self._settings)
        self._settling = Settling(Keeper(self._redis, self._scripts, store, self._settings, self.name))
        self.executor = Executor(
            self._redis, self._engine, self._ledger, self._leases, self._settings, self.name, self._settling.begin
        )
        self._reaper = Reaper(self._redis, self._scripts, self._settings, self.name)
        await self._subscriptions.subscribe(keys.WAKE_CHANNEL, self._on_wake)
        await self._subscriptions.subscribe(keys.CANCEL_CHANNEL, self._on_cancel)
        await self._subscriptions.subscribe(keys.UNLOAD_CHANNEL, self._on_unload)
        await self._announce()
        loops = [
            asyncio.create_task(self._every(self._settings.renew_s, self._beat), name="heartbeat"),
            asyncio.create_task(self._every(self._settings.reap_s, self._reap), name="reaper"),
            asyncio.create_task(self._every(self._settings.reap_s, self._settling.sweep), name="keeper"),
        ]
        try:
            await self._claims()
            await self._finish()
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._close()

    def drain(self) -> None:
        """Take no more jobs; running ones get `drain_s` seconds, then go back to the queue. `run` then returns."""
        self._draining = True
        self._wake.set()

    def changed(self) -> None:
        """The gate has opened, or what is loaded has changed: look for jobs, and tell."""
        self._wake.set()
        if hasattr(self, "_ledger") and not self._draining:
            task = asyncio.create_task(_quietly(self._announce()))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _register(self) -> None:
        base = BaseWorker(
            [self._queue],
            name=self.name,
            connection=self._sync,
            serializer="rq.serializers.JSONSerializer",
            worker_ttl=max(int(self._settings.lease_s * 3), 60),
            log_job_description=False,
        )
        await asyncio.to_thread(base.register_birth)
        self._base = base
        self._ledger = Ledger(self._settings.redis_url, base, int(self._settings.failure_ttl_s))
        log.info("worker %s serves %s from queue %s", self.name, self._model or "the catalog", self._queue)

    # Taking jobs

    async def _claims(self) -> None:
        while not self._draining:
            self._wake.clear()
            try:
                self._backlog = await self._look()
            except UNREACHABLE as error:
                log.warning("cannot claim jobs: %s", error)
                await asyncio.sleep(0.2)
                continue
            self._gate.waits(self._backlog)
            try:
                async with asyncio.timeout(_POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> bool:
        """Take what can be taken; whether jobs wait, or may wait."""
        if not self._gate.open():
            return bool(await self._redis.exists(keys.rq_queue(self._queue)))
        free = self._engine.slots - sum(claim.width for claim in self._running.values())
        if free <= 0:
            return True
        self._gate.hold()  # An engine that is stopped now would take the jobs with it that are on their way here.
        try:
            return await self._claim(free)
        finally:
            self._gate.release()

    async def _claim(self, free: int) -> bool:
        """Take jobs for `free` slots and start them; whether more wait."""
        taken, more = await self._leases.claim([self._queue], free, self._engine.slots)
        for job_id, attempt, flat in taken:
            job = load(job_id, flat, self._sync)
            try:
                spec = spec_of(job)
                claim = Claim(job, spec, attempt, min(spec.width, self._engine.slots))
            except UnknownJob as error:
                log.error("job %s refused: %s", job_id, error)
                await self.executor.refuse(job, attempt, str(error))
                continue
            self._running[claim.id] = claim
            self._gate.hold()
            if claim.id in self._cancels:
                claim.stop(Stop.CANCELLED)
            task = asyncio.create_task(self._run(claim), name=f"job {claim.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return more

    async def _run(self, claim: Claim) -> None:
        began = time.monotonic()
        try:
            await self.executor.run(claim)
        except asyncio.CancelledError:
            log.warning("job %s: interrupted", claim.id)
        except Exception:
            # Left to its lease: the reaper decides.
            log.exception("job %s: given up", claim.id)
        finally:
            del self._running[claim.id]
            self._gate.used(claim.spec.keep_alive)
            self._gate.release()
            took_ms = (time.monotonic() - began) * 1000
            weight = _SERVICE_WEIGHT if self._service_ms else 1.0
            self._service_ms += weight * (took_ms - self._service_ms)
            if self._backlog:
                self._wake.set()

    def _on_wake(self, queue: bytes | None) -> None:
        if queue is None or queue == self._queue.encode():
            self._wake.set()

    def _on_cancel(self, job: bytes | None) -> None:
        if job is None:
            return
        job_id = job.decode()
        if job_id in self._running:
            self._running[job_id].stop(Stop.CANCELLED)
            return
        self._cancels[job_id] = None
        if len(self._cancels) > _REMEMBERED_CANCELS:
            del self._cancels[next(iter(self._cancels))]

    def _on_unload(self, queue: bytes | None) -> None:
        if queue == self._queue.encode():
            self._gate.expire()

    # Saying that this worker lives

    async def _every(self, period_s: float, work: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():  # a command whose time limit ends just then takes the cancellation for its own
            await asyncio.sleep(period_s)
            try:
                await work()
            except UNREACHABLE as error:
                log.warning("%s: %s", task.get_name(), error)
            except Exception:
                log.exception("%s failed", task.get_name())

    async def _beat(self) -> None:
        await self._leases.renew(list(self._running.values()))
        async with self._redis.pipeline(transaction=False) as buffer:
            pipe: Any = buffer
            self._base.heartbeat(pipeline=pipe)
            busy = WorkerStatus.BUSY if self._running else WorkerStatus.IDLE
            self._base.set_state(busy, pipeline=pipe)
            await pipe.execute()
        await self._announce()

    async def _announce(self) -> None:
        life_ms = int(self._settings.lease_s * 1000)
        await self._scripts.run(
            "announce",
            [keys.WORKERS, keys.serving(self._queue), keys.worker(self.name), keys.pace(self._queue)],
            [
                self.name,
                life_ms,
                orjson.dumps(self._record()),
                int(self._serves()),
                int(self._service_ms),
                self._engine.slots,
            ],
        )

    def _serves(self) -> bool:
        """Whether requests should still be accepted on this worker's word: not while it stops, nor when its engine
        has been out of order for longer than a load may take."""
        if self._engine.state is EngineState.READY or self._gate.resting():
            self._unready_since = time.monotonic()
        out_of_order_s = time.monotonic() - self._unready_since
        return not self._draining and out_of_order_s < self._settings.load_timeout_s

    def _record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self._model,
            "queue": self._queue,
            "engine": self._settings.engine,
            "state": "draining" if self._draining else self._engine.state.value,
            "slots": self._engine.slots,
            "running": len(self._running),
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": self._started,
            **self._gate.record(),
        }

    async def _reap(self) -> None:
        if await self._reaper.run_once():
            self._wake.set()

    # Stopping

    async def _finish(self) -> None:
        log.info("draining: %d requests are running", len(self._running))
        await _quietly(self._announce())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.drain_s)
        for claim in list(self._running.values()):
            claim.stop(Stop.DRAINED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.lease_s)
        await self._settling.finish(self._settings.lease_s)

    async def _close(self) -> None:
        await asyncio.gather(*self._telling, return_exceptions=True)
        await _quietly(self._redis.zrem(keys.WORKERS, self.name))
        await _quietly(self._redis.zrem(keys.serving(self._queue), self.name))
        await _quietly(self._redis.delete(keys.worker(self.name)))
        await _quietly(asyncio.to_thread(self._base.register_death))
        await self._subscriptions.unsubscribe(keys.WAKE_CHANNEL, self._on_wake)
        await self._subscriptions.unsubscribe(keys.CANCEL_CHANNEL, self._on_cancel)
        await self._subscriptions.unsubscribe(keys.UNLOAD_CHANNEL, self._on_unload)
        await self.executor.wire.close()
        await self._redis.connection_pool.disconnect()
        self._sync.close()


async def _quietly(work: Awaitable[Any]) -> None:
    """Tidying up at the end: what fails is gone by its own lifetime anyway."""
    try:
        await work
    except UNREACHABLE as error:
        log.debug("at the end: %s", error)
