"""Fixtures that several folders share: a Valkey per session, emptied for each test, and stacks of real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.seeds.importer import ensure
from infra.seeds.models import SMOLLM2
from shared.catalog.directory import DirectoryStore
from shared.settings import Settings
from tests.harness import ROOT, Stack, Valkey, running_stack
from tests.sdk_types import Judge


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


@pytest.fixture(scope="session")
def catalog_of_models() -> Path:
    """A catalog with the default model, kept in the checkout between runs; the first run fetches it."""
    folder = ROOT / ".cache"
    ensure(DirectoryStore(folder / "models"), SMOLLM2, folder / "downloads")
    return folder / "models"


@pytest.fixture(scope="session")
def default_weights(catalog_of_models: Path) -> Path:
    """The default model's GGUF file."""
    return catalog_of_models / "blobs" / f"sha256-{SMOLLM2.sha256}"


@pytest.fixture(scope="session")
def real_stack(catalog_of_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """API, worker and engine with the real model."""
    environ = {
        "PUNA_CATALOG": str(catalog_of_models),
        "PUNA_MODEL": SMOLLM2.name,
        "PUNA_ENGINE": "xllamacpp",
        "PUNA_CONTEXT": "2048",
    }
    with running_stack(tmp_path_factory.mktemp("real"), **environ) as stack:
        stack.start_worker()
        stack.start_api()
        yield stack


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was held against the SDK's types."""
    if Judge.judged:
        told = ", ".join(f"{count} {what}" for what, count in sorted(Judge.judged.items()))
        terminalreporter.write_line(f"held against the SDK's types: {told}")
