"""Pulls beside `curl`, and weights from S3 beside `aws s3 cp`, in one run: `python -m tests.bench.transfers`.

`--aws PATH` is the AWS CLI's program; without it that half is left out. Each pair runs in turns, and a ratio is of one
round. What sha256 alone takes bounds ours: the others check nothing. `curl` and `aws` leave their file in the page
cache, a pull waits until it is on the disk: `--folder` on a memory disk compares the programs, on a disk the whole.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from shared.catalog.manifest import MODEL, Layer, blob_key
from shared.catalog.store import open_store
from shared.settings import Settings
from tests.harness import ROOT
from tests.registry import State, registry
from tests.s3 import conftest as s3


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def run(words: list[str], **environ: str) -> str:
    return subprocess.run(
        words, cwd=ROOT, env={**os.environ, **environ}, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def show(what: str, size: int, ours: list[float], theirs: list[float]) -> None:
    def speeds(times: list[float]) -> str:
        return "/".join(f"{size / seconds / 1e6:.0f}" for seconds in (max(times), median(times), min(times)))

    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    told = "/".join(f"{ratio:.2f}" for ratio in (min(ratios), median(ratios), max(ratios)))
    print(f"{what}, least/median/most: ratio {told}; {speeds(ours)} MB/s, the other {speeds(theirs)} MB/s")


def digest_of(weights: Path) -> str:
    with weights.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def pulls(folder: Path, weights: Path, rounds: int, sync: bool) -> None:
    size, ours, theirs, checked, peak = weights.stat().st_size, [], [], [], 0
    state = State()
    with registry(state) as host:
        layer = state.add("library/m", weights).model
        url = f"http://{host}/v2/library/m/blobs/{layer.digest}"
        for _ in range(rounds):
            target = folder / "curl"
            theirs.append(timed(lambda target=target: run(["curl", "-sS", "-o", str(target), url])))  # type: ignore[misc]
            if sync:
                theirs[-1] += timed(lambda target=target: run(["sync", str(target)]))
            target.unlink()
            words = ["sh", "-c", 'curl -sS "$0" | tee "$1" | openssl dgst -sha256', url, str(target)]
            checked.append(timed(lambda words=words: run(words)))  # type: ignore[misc]
            target.unlink()
            words = [sys.executable, "-m", "tests.pull.puller", f"{host}/library/m"]
            catalog = folder / "catalog"
            environ = {"PUNA_CATALOG": str(catalog), "PUNA_REGISTRY_NETWORKS": "127.0.0.0/8"}
            seconds, memory = run(words, **environ).split()
            ours.append(float(seconds))
            peak = max(peak, int(memory))
            shutil.rmtree(catalog)
    show(f"pull beside curl{' and sync' if sync else ''} ({peak / 1e6:.0f} MB of memory)", size, ours, theirs)
    show("pull beside `curl | tee | openssl dgst -sha256`", size, ours, checked)


def copies(folder: Path, weights: Path, rounds: int, aws: str, endpoint: str) -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": s3.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    store = open_store(Settings(catalog="s3://bench", s3_endpoint=endpoint))
    store._client().create_bucket(Bucket="bench")  # type: ignore[attr-defined]
    data = weights.stat().st_size
    layer = Layer(MODEL, digest_of(weights), data)
    store.put_file(blob_key(layer.digest), weights)
    source, ours, theirs = f"s3://bench/{blob_key(layer.digest)}", [], []
    script = (
        "import sys; from pathlib import Path; from shared.catalog.manifest import Layer; "
        "from shared.catalog.store import open_store; from shared.settings import Settings; "
        "from worker.weights import Weights; "
        "store = open_store(Settings(catalog='s3://bench', s3_endpoint=sys.argv[1])); "
        "Weights(store, Path(sys.argv[2])).blob_path(Layer('', sys.argv[3], int(sys.argv[4])))"
    )
    for _ in range(rounds):
        target = folder / "aws"
        words = [aws, "--endpoint-url", endpoint, "s3", "cp", "--no-progress", source, str(target)]
        theirs.append(timed(lambda words=words: run(words)))  # type: ignore[misc]
        target.unlink()
        cache = folder / "weights"
        words = [sys.executable, "-c", script, endpoint, str(cache), layer.digest, str(layer.size)]
        ours.append(timed(lambda words=words: run(words)))  # type: ignore[misc]
        shutil.rmtree(cache)
    show("S3 to disk, digest checked, beside aws s3 cp (both with start-up)", data, ours, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--sync", action="store_true", help="curl's file is brought to the disk too")
    parser.add_argument("--aws", default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder, block = Path(name), os.urandom(1 << 20)
        weights = folder / "source"
        with weights.open("wb") as file:
            for _ in range(asked.size >> 20):
                file.write(block)
        size = weights.stat().st_size
        print(f"sha256 alone: {size / min(timed(lambda: digest_of(weights)) for _ in range(3)) / 1e6:.0f} MB/s")
        pulls(folder, weights, asked.rounds, asked.sync)
        if asked.aws:
            with s3.server(folder / "seaweed") as endpoint:
                copies(folder, weights, asked.rounds, asked.aws, endpoint)


if __name__ == "__main__":
    main()
