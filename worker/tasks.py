"""What workers do for the catalog, by `JobSpec.kind`."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from shared.catalog.registry import Options, Progress, pull, push
from shared.catalog.store import Store
from shared.settings import Settings
from shared.steps import Tell
from worker.librarian import Task


def tasks(settings: Settings) -> Mapping[str, Task]:
    """Transfers from and to registries, whose requests are `{"model", "insecure"}`, and creates: `{"create"}`."""
    options = Options.of(settings)
    return {
        "pull": _transfer(pull, options),
        "push": _transfer(push, options),
        "create": _create(settings.collect_grace_s),
    }


def _create(grace_s: float) -> Task:
    def task(store: Store, request: Mapping[str, Any], tell: Tell, stop: threading.Event) -> None:
        from worker.convert.task import make  # numpy: only where a model is converted

        make(store, request, tell, stop, grace_s=grace_s)

    return task


def _transfer(work: Callable[..., Any], options: Options) -> Task:
    def task(store: Store, request: Mapping[str, Any], tell: Tell, stop: threading.Event) -> None:
        def progress(step: Progress) -> None:
            tell(step.line())

        work(store, request["model"], insecure=request["insecure"], progress=progress, stop=stop, options=options)

    return task
