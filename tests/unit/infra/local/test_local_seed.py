"""Which models a start can serve when not all of them can be had."""

from pathlib import Path

import pytest

from infra.local.stack import seed
from infra.seeds import importer
from infra.seeds.index import SeedError
from infra.seeds.models import Seed
from shared.settings import Settings


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names that the package index does not have; nothing is fetched."""
    names: set[str] = set()

    def ensure(store: object, seed: Seed, folder: Path) -> bool:
        if seed.name in names:
            raise SeedError("no such file")
        return False

    monkeypatch.setattr(importer, "ensure", ensure)
    return names


def test_all_that_are_named_are_served(tmp_path: Path, lacking: set[str]) -> None:
    said: list[str] = []
    settings = Settings(home=tmp_path, models=("smollm2:135m", "all-minilm", "mine:7b"))
    assert seed(settings, said.append) == settings.models
    assert said == []


def test_it_goes_on_without_a_second_model(tmp_path: Path, lacking: set[str]) -> None:
    lacking.add("all-minilm:latest")
    said: list[str] = []
    assert seed(Settings(home=tmp_path), said.append) == ("smollm2:135m", "*")
    assert said == ["going on without all-minilm:latest: no such file"]


def test_what_nobody_named_is_not_fetched(tmp_path: Path, lacking: set[str]) -> None:
    lacking |= {"smollm2:135m", "all-minilm:latest"}
    said: list[str] = []
    assert seed(Settings(home=tmp_path, models=("*",)), said.append) == ("*",)
    assert seed(Settings(home=tmp_path, models=("mine:7b", "*")), said.append) == ("mine:7b", "*")
    assert said == []


def test_it_does_not_start_without_the_first(tmp_path: Path, lacking: set[str]) -> None:
    lacking.add("all-minilm:latest")
    with pytest.raises(SeedError):
        seed(Settings(home=tmp_path, models=("ALL-MINILM:latest",)), lambda _: None)
    assert seed(Settings(home=tmp_path, models=("mine:7b",)), lambda _: None) == ("mine:7b",)
