"""A real Ollama pulls from the catalog, whatever it is kept in. Skipped where there is none."""

from pathlib import Path

import pytest

from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import Manifest, blob_key
from shared.catalog.names import ModelName
from shared.catalog.store import open_store
from shared.settings import Settings
from tests.ollama import real
from tests.pull.test_own_registry import DATA, fill, serving, settings  # noqa: F401 fixture
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store  # noqa: F401 fixture

pytestmark = pytest.mark.skipif(real.BINARY is None, reason="no ollama on the PATH nor at OLLAMA_BIN")


@pytest.mark.parametrize("called", ["127.0.0.1", "localhost"])
def test_it_gets_what_we_have(settings: Settings, tmp_path: Path, called: str) -> None:  # noqa: F811
    """From S3 by a redirect, which its client follows by itself where the host is the same."""
    ours = fill(open_store(settings), "m")
    models = tmp_path / "theirs"
    with serving(settings) as host, real.served(models, tmp_path) as server:
        name = f"{called}:{host.rpartition(':')[2]}/library/m"
        assert "success" in real.Ollama(server, tmp_path)("pull", "--insecure", name)
    store = DirectoryStore(models)
    found = store.get(ModelName.parse(name).manifest_key)
    assert found is not None
    assert Manifest.from_bytes(found.data).blobs == ours.blobs
    assert store.path(blob_key(ours.model.digest)).read_bytes() == DATA
