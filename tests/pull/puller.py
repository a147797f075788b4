"""A process that pulls a model and says what it took: `python -m tests.pull.puller NAME`, with settings as usual."""

import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from shared.catalog.registry import Options, pull
from shared.catalog.source import Pace
from shared.catalog.store import open_store
from shared.settings import Settings


def peak_bytes() -> int:
    """The most memory that this process has had; 0 where the system does not say."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    settings = Settings.load()
    options = replace(Options.of(settings), pace=Pace(parts=settings.registry_parts, backoff_s=0.05))
    began = time.monotonic()
    pull(open_store(settings), sys.argv[1], insecure=True, options=options)
    print(f"{time.monotonic() - began:.3f} {peak_bytes()}")
