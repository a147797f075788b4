"""Starts function instances and reads the template: what the tests of this folder share."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.harness import ROOT

HANDLERS = ("functions.inference.handler.handler", "functions.catalog.handler.handler")

CODE = {"functions", "shared"}
"""What the package of a function holds besides its dependencies."""


def event(name: str) -> dict[str, Any]:
    """One of the literal events beside this file."""
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return loaded


def dependencies() -> set[str]:
    """Distributions that `pip install .` brings without any extra, direct and transitive."""
    found: set[str] = set()
    waiting: list[tuple[str, frozenset[str]]] = [("puna", frozenset())]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        for wanted in _requirements(name, extras):
            found.add(wanted[0])
            if wanted not in seen:
                seen.add(wanted)
                waiting.append(wanted)
    return found


def _requirements(name: str, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return []
    wanted = [Requirement(line) for line in lines]
    return [
        (canonicalize_name(each.name), frozenset(each.extras))
        for each in wanted
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras | {""})
    ]


def own_modules() -> set[str]:
    """Top-level modules that a function may import, besides Python's."""
    own = dependencies()
    installed = packages_distributions()
    return CODE | {top for top, names in installed.items() if own & {canonicalize_name(name) for name in names}}


class Instance:
    """A function instance in a process of its own. `hello` is what it says of its import."""

    def __init__(self, handler: str, environ: Mapping[str, str]) -> None:
        # Append mode: reading here does not move where the instance writes.
        self._errors = tempfile.TemporaryFile("a+")  # noqa: SIM115 closed by `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.events.instance", handler, ",".join(sorted(own_modules()))],
            env={**os.environ, **environ},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._hello: dict[str, Any] | None = None

    @property
    def hello(self) -> dict[str, Any]:
        if self._hello is None:
            self._hello = self._read()
        return self._hello

    def __call__(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        assert self.hello, "the instance has said of its import"
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(sent) + "\n")
        self._process.stdin.flush()
        return self._read()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def errors(self) -> str:
        """What it has written to standard error, which is a function's log."""
        self._errors.seek(0)
        return self._errors.read()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the instance ended:\n{self.errors()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms: `!Ref X` as `{"Ref": "X"}`, `!Sub …` as `{"Fn::Sub": …}`."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def template() -> dict[str, Any]:
    """`template.yaml` with its tags in their long form."""
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)
    return loaded
