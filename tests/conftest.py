"""Fixtures that several folders share: a Valkey per session, emptied for each test, and stacks of real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.settings import Settings
from tests.harness import Stack, Valkey, running_stack


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The session's server with nothing in it."""
    client = valkey_server.client()
    client.flushall()
    client.close()
    return valkey_server


@pytest.fixture
def settings(valkey: Valkey, tmp_path: Path) -> Settings:
    """Settings for parts that run inside the test."""
    return Settings.load(
        {"REDIS_URL": valkey.url, "PUNA_HOME": str(tmp_path), "PUNA_ENGINE": "fake", "PUNA_LEASE": "2"}
    )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own, to be broken at will. Nothing is started yet."""
    with running_stack(tmp_path) as stack:
        yield stack
