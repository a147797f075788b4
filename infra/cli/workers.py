"""`puna workers`: what each live worker says of itself."""

import time
from typing import Any

import orjson
import redis
import typer

from infra.cli.place import CommandError, redis_url
from infra.cli.text import duration, table
from shared import keys
from shared.redis import connect_sync
from shared.settings import settings

HEAD = ("NAME", "WORKER", "STATE", "SLOTS", "UPTIME")


def rows(workers: list[dict[str, Any]], now: float) -> list[tuple[str, ...]]:
    """One line per worker; `started` and `now` are Unix seconds."""
    return [
        (
            str(word.get("model") or "(catalog)"),
            str(word.get("name", "?")),
            str(word.get("state", "?")),
            f"{word.get('running', 0)}/{word.get('slots', 0)}",
            duration(now - float(word.get("started", now))),
        )
        for word in workers
    ]


def read_workers(url: str) -> list[dict[str, Any]]:
    """The words of the live workers, ordered by name. Raises CommandError when Redis cannot be reached."""
    try:
        with connect_sync(url) as client:
            names = sorted(name.decode() for name in client.zrange(keys.WORKERS, 0, -1))
            words = client.mget([keys.worker(name) for name in names]) if names else []
    except redis.RedisError as error:
        raise CommandError(f"Redis cannot be reached: {error}") from None
    return [orjson.loads(word) for word in words if word]


def run() -> None:
    """Print the table."""
    typer.echo(table(HEAD, rows(read_workers(redis_url(settings())), time.time())))
