"""Two function instances before a Valkey and a worker with the fake engine. No API process: the functions are it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.events.lambda_like import HANDLERS, Instance
from tests.harness import Stack, add_model, running_stack

SLASHED = "hf.co/example/tiny-GGUF:Q4_K_M"


@pytest.fixture(scope="package")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What stands behind the functions: a queue, a catalog with two models, a worker."""
    with running_stack(tmp_path_factory.mktemp("functions")) as stack:
        add_model(stack.catalog, SLASHED, b"GGUF of another model")
        stack.start_worker()
        yield stack


@pytest.fixture(scope="package")
def instances(behind: Stack) -> Iterator[dict[str, Instance]]:
    """By handler. All tests speak to the same two, as invocations of one instance follow each other."""
    with ExitStack() as leave:
        started = {handler: Instance(handler, behind.environ) for handler in HANDLERS}
        for instance in started.values():
            leave.callback(instance.stop)
        yield started


@pytest.fixture(scope="package")
def inference(instances: dict[str, Instance]) -> Instance:
    return instances[HANDLERS[0]]


@pytest.fixture(scope="package")
def catalog(instances: dict[str, Instance]) -> Instance:
    return instances[HANDLERS[1]]
