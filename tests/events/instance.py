"""A function instance as Lambda runs it: imports one handler, then answers one event after the other.

`python -m tests.events.instance HANDLER ALLOWED`: no module can be imported whose top level is not of Python or in
ALLOWED (separated by commas). Says a line about the import, then reads an event per line and answers with a line.
"""

import json
import sys
import time
from importlib import import_module
from importlib.abc import MetaPathFinder
from typing import Any


class OnlyThese(MetaPathFinder):
    """Stands before the other finders and lets nothing but the given packages past."""

    def __init__(self, allowed: set[str]) -> None:
        self._allowed = allowed | sys.stdlib_module_names

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        top = name.partition(".")[0]
        if top not in self._allowed and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r} in a function's package", name=name)


class Context:
    """What a handler is told of its invocation."""

    function_name = "inference"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:inference"
    memory_limit_in_mb = "1024"
    aws_request_id = "5b0d4e3c-3d0f-4a8e-8d0d-0d2a7c5d9f10"
    log_group_name = "/aws/lambda/inference"
    log_stream_name = "2026/09/24/[$LATEST]0123456789abcdef0123456789abcdef"


def routes(handler: Any) -> list[tuple[str, str]]:
    """Method and path of each documented operation of the app behind a handler."""
    paths = handler.app.openapi()["paths"]
    return [(method.upper(), path) for path, operations in paths.items() for method in operations]


def main() -> None:
    name, allowed = sys.argv[1:]
    sys.meta_path.insert(0, OnlyThese(set(allowed.split(","))))
    began = time.perf_counter()
    module, _, attribute = name.rpartition(".")
    handler = getattr(import_module(module), attribute)
    took_s = time.perf_counter() - began
    say({"import_s": took_s, "boto3": "boto3" in sys.modules, "routes": routes(handler)})
    for line in sys.stdin:
        say(handler(json.loads(line), Context()))


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
