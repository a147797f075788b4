from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.seeds import fetch
from infra.seeds.fetch import fetch_wheel
from infra.seeds.index import PYPI, Index, SeedError, index_url
from infra.seeds.models import Seed

Fetch = Callable[[], bytes]


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def run(index: Any, seed: Seed, tmp_path: Path, waits: list[float]) -> Iterator[Fetch]:
    client = Index(index.url, {})
    yield lambda: fetch_wheel(seed, tmp_path, client, sleep=waits.append).read_bytes()
    client.client.close()


@pytest.fixture
def partial(seed: Seed, tmp_path: Path) -> Path:
    return tmp_path / f"{seed.wheel}.partial"


def test_a_wheel_is_downloaded_once(index: Any, run: Fetch, waits: list[float]) -> None:
    assert run() == index.body
    assert run() == index.body
    assert index.asked == [""]
    assert waits == []


def test_the_next_run_asks_for_the_rest_only(index: Any, run: Fetch, partial: Path) -> None:
    index.statuses = [0, *[503] * fetch.ATTEMPTS]
    index.break_after = [100_000]
    with pytest.raises(SeedError, match="HTTP 503"):
        run()
    assert partial.stat().st_size == 100_000
    assert index.asked == ["", *["bytes=100000-"] * (fetch.ATTEMPTS - 1)]
    index.statuses, index.asked = [], []
    assert run() == index.body
    assert index.asked == ["bytes=100000-"]
    assert not partial.exists()


def test_a_broken_connection_is_taken_up_again(index: Any, run: Fetch, waits: list[float]) -> None:
    index.break_after = [1000, 2000, 3000]
    assert run() == index.body
    assert index.asked == ["", "bytes=1000-", "bytes=3000-", "bytes=6000-"]
    assert waits == [fetch.BACKOFF_S] * 3  # each try gained something


def test_waits_grow_while_nothing_is_gained(index: Any, run: Fetch, waits: list[float]) -> None:
    index.statuses = [503, 429, 500]
    assert run() == index.body
    assert waits == [0.5, 1.0, 2.0]


def test_a_server_without_ranges_starts_over(index: Any, run: Fetch) -> None:
    index.ranges = False
    index.break_after = [1000]
    assert run() == index.body
    assert index.asked == ["", "bytes=1000-"]


def test_a_refusal_is_not_repeated(index: Any, run: Fetch, waits: list[float]) -> None:
    index.statuses = [403]
    with pytest.raises(SeedError, match="HTTP 403"):
        run()
    assert waits == []


@pytest.mark.parametrize("body", [b"x", b"x" * 1_000_000], ids=["shorter", "longer"])
def test_another_file_is_removed(index: Any, run: Fetch, seed: Seed, tmp_path: Path, body: bytes) -> None:
    index.body = body
    with pytest.raises(SeedError, match=f"was removed: expected sha256 {seed.wheel_sha256}, got"):
        run()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_partial_file_is_removed(index: Any, run: Fetch, partial: Path) -> None:
    partial.write_bytes(b"?" * 1000)
    with pytest.raises(SeedError, match="not the pinned file"):
        run()
    assert run() == index.body
    assert index.asked == ["bytes=1000-", ""]


def test_an_index_that_speaks_html_only(index: Any, run: Fetch) -> None:
    index.page_type = "text/html; charset=utf-8"
    assert run() == index.body
    assert "application/vnd.pypi.simple.v1+json" in index.accepted[0]


def test_credentials_in_the_url_are_sent_and_never_told(index: Any, seed: Seed, tmp_path: Path) -> None:
    index.login = "me:p@ss"
    client = Index(index.url.replace("//", "//me:p%40ss@"), {})
    assert fetch_wheel(seed, tmp_path, client).read_bytes() == index.body
    index.login = "me:other"
    (tmp_path / seed.wheel).unlink()
    with pytest.raises(SeedError, match="HTTP 401") as caught:
        fetch_wheel(seed, tmp_path, client)
    assert "p%40ss" not in caught.value.message
    assert "p@ss" not in caught.value.message
    client.client.close()


def test_credentials_stay_with_their_host() -> None:
    client = Index("https://me:secret@index.example/simple", {})
    assert client.auth(client.url.join("x/")) is not None
    for other in ("https://files.example/x", "http://index.example/x", "https://index.example:444/x"):
        assert client.auth(client.url.join(other)) is None
    client.client.close()


def test_a_package_or_file_that_is_not_there(index: Any) -> None:
    client = Index(index.url, {})
    with pytest.raises(SeedError, match="has no package nothing"):
        client.find("nothing", "nothing-1.0-py3-none-any.whl")
    with pytest.raises(SeedError, match=r"has no file tiny_model-2\.0"):
        client.find("Tiny.Model", "tiny_model-2.0-py3-none-any.whl")
    client.client.close()


def test_no_network_is_told_in_one_line(seed: Seed, tmp_path: Path, waits: list[float]) -> None:
    client = Index("http://127.0.0.1:1/simple", {})
    with pytest.raises(SeedError, match="cannot be downloaded from http://127"):
        fetch_wheel(seed, tmp_path, client, sleep=waits.append)
    assert waits == [0.5, 1.0, 2.0, 4.0]
    client.client.close()


@pytest.mark.parametrize("url", ["file:///srv/simple", "pypi.org/simple", "http://[::1/simple"])
def test_an_index_that_cannot_be_one(url: str) -> None:
    with pytest.raises(SeedError, match="package index's URL"):
        Index(url, {})


def test_the_index_is_the_machines_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert index_url({"UV_INDEX_URL": "https://uv", "PIP_INDEX_URL": "https://pip"}) == "https://pip"
    assert index_url({"UV_INDEX_URL": "https://uv", "PIP_INDEX_URL": " "}) == "https://uv"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = tmp_path / "pip" / "pip.conf"
    config.parent.mkdir()
    config.write_text("[global]\nindex-url = https://mirror/simple\n")
    assert index_url({}) == "https://mirror/simple"
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-python"))
    assert index_url({}) == PYPI
