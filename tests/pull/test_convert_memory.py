"""The memory of a process that converts does not grow with the model. `CONVERT_LAYERS=200` makes it a large one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.catalog.s3 import S3Store
from shared.catalog.store import open_store
from shared.settings import Settings
from tests.harness import ROOT
from tests.large_model import large_model
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store  # noqa: F401 fixture

LAYERS = int(os.environ.get("CONVERT_LAYERS", 10))
MOST = 200_000_000


@pytest.mark.parametrize("quantize", ["", "q4_0"])
@pytest.mark.parametrize("kind", ["directory", pytest.param("s3", marks=pytest.mark.s3)])
@pytest.mark.slow
def test_a_converter_stays_small(request: pytest.FixtureRequest, tmp_path: Path, kind: str, quantize: str) -> None:
    environ = {"PUNA_CATALOG": str(tmp_path / "catalog")}
    if kind == "s3":
        found: S3Store = request.getfixturevalue("s3_store")
        environ |= {"PUNA_CATALOG": f"s3://{found.bucket}/{found.prefix}", "PUNA_S3_ENDPOINT": found._endpoint}
    store = open_store(Settings.load(environ))
    digests, numbers = large_model(store, tmp_path, LAYERS)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.pull.converter",
            json.dumps({"model": "m", "files": digests, "quantize": quantize}),
        ],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    seconds, peak = run.stdout.split()
    print(
        f"{kind}, {quantize or 'f16'}: {numbers / 1e6:.0f} M numbers in {seconds} s, {int(peak) / 1e6:.0f} MB of memory"
    )
    if peak == "0":
        pytest.skip("this system does not say how much memory a process has had")
    assert int(peak) < MOST
