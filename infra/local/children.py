"""The command and environment of each child."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.local import valkey
from infra.local.spawn import ChildSpec
from shared import lifeline
from shared.settings import Settings

GRACE_S = 5.0
"""Time past the drain (s) in which a child that was told to stop must be gone."""


def environment(settings: Settings, redis_url: str, url_port: int, base: Mapping[str, str]) -> dict[str, str]:
    """A child's environment: the parent's, with the settings as they were read and what was decided since."""
    decided = {"REDIS_URL": redis_url, "PUNA_PORT": str(url_port), lifeline.ENV: "1", "PYTHONUNBUFFERED": "1"}
    return {**base, **settings.environ(), **decided}


def python(*words: str) -> tuple[str, ...]:
    """This interpreter, without the current folder on its path: a user's `shared/` is not ours."""
    return (sys.executable, "-P", *words)


def queue(settings: Settings, socket: Path, folder: Path) -> ChildSpec:
    """The embedded Valkey; it needs nothing of the environment. Raises StackError without a binary."""
    command = valkey.command(valkey.binary(), socket, folder)
    return ChildSpec("queue", command, {"PATH": os.defpath}, settings.drain_s + GRACE_S)


def workers(settings: Settings, environ: Mapping[str, str], models: Sequence[str]) -> list[ChildSpec]:
    """`worker`, `worker-2`, …: a process for each model, or one for all of them within the memory that is set."""
    shares = [",".join(models)] if settings.memory else models
    return [
        ChildSpec(
            f"worker-{number}" if number > 1 else "worker",
            python("-m", "worker"),
            {**environ, "PUNA_MODEL": share},
            settings.drain_s + GRACE_S,
        )
        for number, share in enumerate(shares, 1)
    ]


def api(settings: Settings, environ: Mapping[str, str], fd: int) -> ChildSpec:
    """The API, on the parent's listening socket."""
    command = python("-m", "infra.local.api", "--fd", str(fd))
    return ChildSpec("api", command, environ, settings.drain_s + GRACE_S, (fd,))
