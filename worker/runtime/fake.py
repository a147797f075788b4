"""`python -m worker.runtime.fake`: a fake engine, a child like the real one; `FakeEngineServer` serves.

No model, no weights, any speed, accidents on demand: see `fake_plan.Knobs`.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from shared import lifeline
from worker.runtime.fake_plan import KNOBS, Knobs
from worker.runtime.fake_server import FakeEngineServer

__all__ = ["FakeEngineServer", "Knobs"]

CRASHED = 70
"""Exit code of a crash on demand."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line as a namespace; every knob is an option."""
    parser = argparse.ArgumentParser(prog="worker.runtime.fake")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--load", type=float, default=0.0, help="seconds before it is healthy")
    parser.add_argument("--ignore-sigterm", action="store_true")
    defaults = Knobs()
    for name in KNOBS:
        kind = float if name in ("rate", "delay") else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(defaults, name))
    return parser.parse_args(argv)


async def serve(options: argparse.Namespace) -> None:
    """Listen until the process is stopped."""
    knobs = Knobs(**{name: getattr(options, name) for name in KNOBS})
    server = FakeEngineServer(
        slots=options.slots,
        context=options.context,
        load_s=options.load,
        knobs=knobs,
        crash=lambda: os._exit(CRASHED),
    )
    print(f"listening on {await server.start(options.port)}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Entry point; ends by a signal or with its standard input."""
    lifeline.exit_with_parent()
    options = parse()
    if options.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # uvloop belongs to the `local` extra and does not exist on Windows; with it, a token costs half.
    run = import_module("uvloop").run if find_spec("uvloop") else asyncio.run
    run(serve(options))


if __name__ == "__main__":
    main()
