"""The API child: uvicorn serving `functions.gateway:app`. Also `python -m infra.local.api` in a container."""

import argparse
import logging
import math
import socket
import sys
from collections.abc import Sequence

import uvicorn

from infra.local import listen
from shared import lifeline, logs
from shared.errors import PunaError
from shared.settings import Settings, settings

APP = "functions.gateway:app"
KEEP_ALIVE_S = 75
"""Longer than the idle time of the usual clients and proxies, so that the client closes first (s)."""


def config(chosen: Settings) -> uvicorn.Config:
    """uvicorn's configuration. A stream gets the drain time to end when the API is told to stop."""
    return uvicorn.Config(
        APP,
        loop="uvloop",
        http="httptools",
        ws="none",
        backlog=listen.BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(chosen.drain_s),
    )


def _socket(chosen: Settings, fd: int | None) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    sock = listen.bind(chosen.host, chosen.port)
    listen.listen(sock)
    return sock


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, SIGINT or the parent's end."""
    lifeline.watch()
    parser = argparse.ArgumentParser(prog="python -m infra.local.api")
    parser.add_argument("--fd", type=int, help="listening socket inherited from the parent")
    try:
        chosen = settings()
        logs.configure(chosen.log_level)
        # Its start and stop are said by the parent.
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        sock = _socket(chosen, parser.parse_args(argv).fd)
    except PunaError as error:
        sys.exit(error.message)
    uvicorn.Server(config(chosen)).run(sockets=[sock])


if __name__ == "__main__":
    main()
