"""Garbage collection now and then, beside a worker's other work. Of several workers one collects at a time."""

import logging
import random
import threading
import time

from shared.catalog.collect import collect
from shared.catalog.store import Store
from shared.errors import PunaError

log = logging.getLogger("puna.worker")


def start(store: Store, grace_s: float) -> threading.Thread:
    """Collect about once per grace period (s), as long as the process lives."""
    thread = threading.Thread(target=_collect, args=(store, grace_s), name="collect", daemon=True)
    thread.start()
    return thread


def _collect(store: Store, grace_s: float) -> None:
    while True:
        time.sleep(grace_s * random.uniform(0.5, 1.5))  # noqa: S311 no secret: workers that began together part
        try:
            collect(store, grace_s=grace_s)
        except PunaError as error:
            log.warning("garbage was not collected: %s", error.message)
