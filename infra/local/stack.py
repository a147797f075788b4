"""The one-command stack: models, queue, workers and API under one supervisor, until it is told to stop."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from infra.local import children, listen, record, valkey
from infra.local.banner import banner
from infra.local.child import Effects
from infra.local.home import Home, locked
from infra.local.leftovers import clear
from infra.local.output import Output
from infra.local.ready import until_ready
from infra.local.secret import kept_key
from infra.local.supervisor import Supervisor
from shared.errors import PunaError
from shared.settings import ANY, Settings


def serve(settings: Settings) -> int:
    """Run the stack in this process. Returns the exit code; raises StackError when it cannot start.

    The model comes before the loop and its signal handlers: there Ctrl-C ends a download at once, and the
    next start resumes it.
    """
    home = Home(settings.home)
    home.make()
    output = Output(home.logs)
    say = partial(output.line, "puna")
    try:
        with locked(home):
            clear(home, settings.drain_s + children.GRACE_S, say)
            settings = replace(settings, state_key=settings.state_key or kept_key(home))
            with listen.bind(settings.host, settings.port) as sock:
                models = seed(settings, say)
                asyncio.run(Stack(settings, home, sock, output, models).run())
    except KeyboardInterrupt:
        output.line("puna", "stopped")
    finally:
        output.close()
    return 0


def seed(settings: Settings, say: Callable[[str], None]) -> tuple[str, ...]:
    """Have those of the default models in the catalog that are to be served; the first time this fetches them. The
    models that can be served.

    Raises PunaError when the first of them cannot be had. The others can wait for a later start.
    """
    from infra.seeds.importer import ensure
    from infra.seeds.models import DEFAULTS
    from shared.catalog.names import ModelName
    from shared.catalog.store import open_store

    store = open_store(settings)
    served = {ModelName.parse(name).folded: name for name in settings.names}
    for model in DEFAULTS:
        key = ModelName.parse(model.name).folded
        if key not in served:
            continue  # nobody asked for it, and the catalog may be a bucket of others
        try:
            ensure(store, model, settings.home / "downloads")
        except PunaError as error:
            if served.pop(key) in settings.names[:1]:
                raise
            say(f"going on without {model.name}: {error.message}")
    return (*served.values(), ANY) if settings.any_model else tuple(served.values())


class Stack:
    """One run. `sock` is bound and not listening yet: clients are refused until the API is started."""

    def __init__(
        self, settings: Settings, home: Home, sock: socket.socket, output: Output, models: tuple[str, ...]
    ) -> None:
        self._settings = settings
        self._models = models
        self._home = home
        self._sock = sock
        self._output = output
        self._stopping = asyncio.Event()
        self._redis_url = settings.redis_url
        self._port: int = sock.getsockname()[1]
        self._url = listen.url(settings.host, self._port)
        self._started = time.time()
        self._supervisor = Supervisor(Effects(self._write, self._say, self._record))

    async def run(self) -> None:
        """Start everything, stay until a signal, stop everything in order. Raises StackError."""
        self._catch_signals()
        with ExitStack() as leave:
            starting = asyncio.create_task(self._start(leave))
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({starting, stopping}, return_when="FIRST_COMPLETED")
                if starting.done():
                    starting.result()
                    await stopping
            finally:
                starting.cancel()
                stopping.cancel()
                await asyncio.gather(starting, stopping, return_exceptions=True)
                await self._stop()

    async def _start(self, leave: ExitStack) -> None:
        """Queue, workers, API: the reverse of the order in which they must stop."""
        if not self._redis_url:
            path = leave.enter_context(valkey.socket_path(self._home))
            self._redis_url = valkey.url(path)
            server = await self._supervisor.start(children.queue(self._settings, path, self._home.queue))
            await valkey.until_up(path, lambda: server.starts)
        environ = children.environment(self._settings, self._redis_url, self._port, os.environ)
        for spec in children.workers(self._settings, environ, self._models):
            await self._supervisor.start(spec)
        listen.listen(self._sock)
        await self._supervisor.start(children.api(self._settings, environ, self._sock.fileno()))
        host = self._url.removeprefix("http://").rpartition(":")[0].strip("[]")
        await until_ready(host, self._port, self._say)
        self._output.plain(banner(self._url, self._models, str(self._home.logs)))

    async def _stop(self) -> None:
        # Ours must close too, or clients would wait in it while nobody accepts.
        self._sock.close()
        await self._supervisor.stop()
        record.remove(self._home.record)
        self._say("stopped")

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._asked)
        # nohup has SIGHUP ignored, and means it.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, self._asked)

    def _asked(self) -> None:
        if self._stopping.is_set():
            self._say("stopping at once")
            self._supervisor.hasten()
        self._stopping.set()

    def _say(self, text: str) -> None:
        self._output.line("puna", text)

    def _write(self, name: str, text: str) -> None:
        shown = name != "queue" or bool(valkey.NOTEWORTHY.search(text))
        self._output.line(name, text, shown=shown)

    def _record(self) -> None:
        marks = self._supervisor.marks()
        now = record.StackRecord(
            pid=os.getpid(),
            url=self._url,
            redis_url=self._redis_url,
            started=self._started,
            pids={name: pid for name, (pid, _) in marks.items()},
            born={name: mark for name, (_, mark) in marks.items()},
        )
        record.write(self._home.record, now)
