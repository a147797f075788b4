"""The memory of a process that pulls does not grow with the model. `PULL_BYTES=1000000000` makes it a large one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.catalog.s3 import S3Store
from tests.harness import ROOT
from tests.registry import State, registry
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store  # noqa: F401 fixture

SIZE = int(os.environ.get("PULL_BYTES", 250_000_000))
MOST = 200_000_000


@pytest.mark.parametrize("kind", ["directory", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.slow
def test_a_puller_stays_small(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    environ = {"PUNA_CATALOG": str(tmp_path / "catalog"), "PUNA_REGISTRY_NETWORKS": "127.0.0.0/8"}
    if kind == "s3":
        store: S3Store = request.getfixturevalue("s3_store")
        environ |= {"PUNA_CATALOG": f"s3://{store.bucket}/{store.prefix}", "PUNA_S3_ENDPOINT": store._endpoint}
    weights = tmp_path / "weights"
    block = os.urandom(1 << 20)
    with weights.open("wb") as file:
        for _ in range(SIZE >> 20):
            file.write(block)
    state = State()
    with registry(state) as host:
        state.add("library/m", weights)
        run = subprocess.run(
            [sys.executable, "-m", "tests.pull.puller", f"{host}/library/m"],
            cwd=ROOT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
        )
    assert run.returncode == 0, run.stderr
    seconds, peak = run.stdout.split()
    print(f"{kind}: {SIZE / 1e6:.0f} MB in {seconds} s, {int(peak) / 1e6:.0f} MB of memory")
    if peak == "0":
        pytest.skip("this system does not say how much memory a process has had")
    assert int(peak) < MOST
