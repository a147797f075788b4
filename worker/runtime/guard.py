"""`python -m worker.runtime.guard -- COMMAND…`: runs an engine that does not watch its standard input.

The command is stopped when the guard's input ends (the worker is gone) or on SIGTERM; its exit code is the
guard's, 128 + N for signal N. On Linux it dies with the guard, too.
"""

import ctypes
import signal
import subprocess
import sys
from types import FrameType

from shared import lifeline

GRACE_S = 4.0
"""Pause before SIGKILL; shorter than the supervisor's own 5 s, which would leave no time to pass it on."""

_PR_SET_PDEATHSIG = 1


def _die_with_guard() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run(command: list[str]) -> int:
    """Run `command` to its end and return its exit code."""
    child = subprocess.Popen(  # noqa: S603 - the operator's own setting names the program
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_guard,  # safe: no thread runs yet
    )

    def stop() -> None:
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        child.terminate()

    signal.signal(signal.SIGTERM, on_sigterm)
    lifeline.on_end(0, stop)
    code = child.wait()
    return code if code >= 0 else 128 - code


def main() -> None:
    """Entry point; the command is everything after the first `--`."""
    arguments = sys.argv[1:]
    if "--" not in arguments or not arguments[arguments.index("--") + 1 :]:
        sys.exit("usage: python -m worker.runtime.guard -- COMMAND…")
    sys.exit(run(arguments[arguments.index("--") + 1 :]))


if __name__ == "__main__":
    main()
