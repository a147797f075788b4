"""The docs know every setting, route and error code, and the README's commands exist."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import functions.gateway
import shared.catalog.store  # noqa: F401 (its errors)
from shared.errors import PunaError
from shared.settings import Settings
from tests.harness import ROOT

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()


def _errors(base: type[PunaError]) -> list[type[PunaError]]:
    return [base, *(leaf for child in base.__subclasses__() for leaf in _errors(child))]


@pytest.mark.parametrize("item", fields(Settings), ids=lambda item: item.metadata["env"])
def test_every_setting_is_documented(item) -> None:  # type: ignore[no-untyped-def]
    (row,) = [line for line in SETTINGS.splitlines() if line.startswith(f"| `{item.metadata['env']}` |")]
    assert item.metadata["help"] in row
    if isinstance(item.default, (int, float)):
        assert f"`{item.default:.15g}`" in row


def test_no_documented_setting_is_gone() -> None:
    known = {item.metadata["env"] for item in fields(Settings)}
    told = set(re.findall(r"\b(?:PUNA_[A-Z0-9_]+|REDIS_URL)\b", README + SETTINGS + API))
    assert told <= known


def test_the_environment_is_read_in_one_place() -> None:
    """Besides the settings: the lifeline's word from parent to child, and what package tools call their index."""
    allowed = {"shared/settings.py", "shared/lifeline.py"}
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("functions", "worker", "shared")
        for path in Path(ROOT, folder).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert readers <= allowed


def test_every_error_code_is_documented() -> None:
    kinds = [kind for kind in _errors(PunaError) if kind.__module__.startswith(("shared.", "functions.", "worker."))]
    codes = {kind.default_code for kind in kinds if kind.default_code}
    missing = {code for code in codes if f"`{code}`" not in API}
    assert not missing


def test_every_route_is_documented() -> None:
    for path, methods in functions.gateway.app.openapi()["paths"].items():
        told = path.replace("{model}", "{model}")
        for method in methods:
            assert f"`{method.upper()} {told}`" in API, f"{method} {path}"


def test_the_readmes_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_the_readmes_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README + API + (ROOT / "docs/adr/README.md").read_text()):
        if "://" not in target:
            assert any((ROOT / folder / target).exists() for folder in ("", "docs", "docs/adr")), target
