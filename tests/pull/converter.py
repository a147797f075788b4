"""A process that makes a model of uploaded files and says what it took: `python -m tests.pull.converter REQUEST`, the
request's JSON, with settings as usual."""

import json
import sys
import threading
import time

from shared.catalog.store import open_store
from shared.schema.create import parse
from shared.settings import Settings
from tests.pull.puller import peak_bytes
from worker.convert.task import make

if __name__ == "__main__":
    asked = parse(json.loads(sys.argv[1]))
    began = time.monotonic()
    store = open_store(Settings.load())
    make(store, {"model": asked.model, "create": asked.model_dump()}, lambda step: None, threading.Event())
    print(f"{time.monotonic() - began:.3f} {peak_bytes()}")
