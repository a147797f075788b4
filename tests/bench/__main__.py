"""`python -m tests.bench`: measure what the API adds to the engine. Exit status 0 whether or not targets are met."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from tests.bench import context, embeddings, fake, real, report, targets, weights
from tests.bench.client import BenchError
from tests.bench.parts import folder_of


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0, 1 when nothing could be measured, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, coarse figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--part", choices=("real", "fake", "embeddings", "all"), default="all")
    options = parser.parse_args(argv)
    # An exception, so that every process of the stack is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        results = _measure(options.part, quick=options.quick)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        options.json.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    console = Console()
    report.show(console if console.is_terminal else Console(width=report.WIDTH), results)
    return 0


def _measure(part: str, *, quick: bool) -> dict[str, Any]:
    results: dict[str, Any] = {"context": context.gather(), "quick": quick}
    gguf = weights.find() if part in ("real", "all") else None
    with tempfile.TemporaryDirectory(prefix="puna-bench-") as root:
        if gguf is not None:
            _say(f"the real engine with {gguf.name}, through the API and directly")
            results["real"] = real.run(folder_of(root, "real"), gguf, quick=quick)
        if part in ("fake", "all"):
            _say("the fake engine")
            results["fake"] = fake.run(folder_of(root, "fake"), quick=quick)
        if part in ("embeddings", "all"):
            _say("embeddings, through the API and directly")
            results["embeddings"] = embeddings.run(folder_of(root, "embeddings"), quick=quick)
    results["context"]["load_end"] = context.load()
    results["targets"] = targets.judge(results)
    return results


def _say(what: str) -> None:
    sys.stderr.write(f"measuring {what} …\n")


if __name__ == "__main__":
    sys.exit(main())
