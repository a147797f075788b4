"""A create that is a job, on a directory and on S3: what it makes, what it holds meanwhile, and what it leaves."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from shared.catalog.change import find
from shared.catalog.collect import Collected, collect
from shared.catalog.gguf import Gguf, read_gguf
from shared.catalog.manifest import SYSTEM, Manifest, blob_key, digest_of
from shared.catalog.names import ModelName
from shared.catalog.store import Store
from shared.catalog.upload import PART_LEAST
from shared.errors import Cancelled, InvalidRequest
from shared.schema.create import parse
from tests.gguf_files import gguf
from tests.model_folders import VOCAB, decoder_config, decoder_folder, decoder_tensors
from tests.s3.conftest import s3_endpoint, s3_server  # noqa: F401 fixtures
from tests.s3.test_store_contract import s3_store, store  # noqa: F401 fixtures
from tests.unit.worker.convert.made import folder
from worker.convert.model import laid_out
from worker.convert.task import make
from worker.convert.write import content

LARGE = 20_000
"""Words of a vocabulary whose table alone has two parts of an upload and a bit."""


def uploaded(store: Store, files: Mapping[str, bytes]) -> dict[str, str]:  # noqa: F811
    digests = {name: digest_of(data) for name, data in files.items()}
    for name, data in files.items():
        store.put(blob_key(digests[name]), data)
    return digests


def large() -> dict[str, bytes]:
    """A Llama with a vocabulary of `LARGE`: 2.6 MB a table as F16, 10.4 MB a file as F32."""
    tensors = decoder_tensors()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = tensors[name].repeat(LARGE // VOCAB, axis=0)
    return decoder_folder(decoder_config(vocab_size=LARGE), tensors)


def made(store: Store, model: str = "m", **body: Any) -> list[dict[str, Any]]:  # noqa: F811
    told: list[dict[str, Any]] = []
    asked = parse({"model": model, **body}).model_dump()
    make(store, {"model": model, "create": asked}, told.append, threading.Event())
    return told


def stored(store: Store, name: str) -> Manifest:  # noqa: F811
    found = find(store, ModelName.parse(name)).found
    assert found is not None
    return Manifest.from_bytes(found.data)


def header(store: Store, name: str) -> Gguf:  # noqa: F811
    key = blob_key(stored(store, name).model.digest)
    return read_gguf(lambda start, length: store.get_range(key, start, length))


def blob(store: Store, digest: str) -> bytes:  # noqa: F811
    found = store.get(blob_key(digest))
    assert found is not None
    return found.data


@pytest.mark.parametrize("kind", ["", "F32", "Q8_0"])
def test_safetensors_become_a_model(store: Store, kind: str) -> None:  # noqa: F811
    files = large()
    wanted = b"".join(content(laid_out(folder(files), kind)))
    assert (len(wanted) > 2 * PART_LEAST) == (kind == "F32")
    told = made(store, files=uploaded(store, files), quantize=kind, system="Be kind.")
    words = f"quantizing F16 model to {kind}" if kind else "converting model"
    assert {each["status"] for each in told if "total" in each} == {words}
    assert (told[-1]["status"], told[0]["total"]) == ("success", len(wanted))
    completed = [each["completed"] for each in told if "total" in each]
    assert completed == sorted(completed)
    assert completed[-1] == len(wanted)
    manifest = stored(store, "m")
    assert manifest.model.digest == digest_of(wanted)
    assert blob(store, manifest.model.digest) == wanted
    assert blob(store, next(each.digest for each in manifest.layers if each.media_type == SYSTEM)) == b"Be kind."
    config = orjson.loads(blob(store, manifest.config.digest))
    assert (config["model_family"], config["file_type"]) == ("llama", kind or "F16")
    assert list(store.list("leases/")) == []
    assert store.abandon(time.time() + 60) == 0


def test_a_base_is_quantized(store: Store) -> None:  # noqa: F811
    made(store, "base", files=uploaded(store, decoder_folder()), system="Be kind.", parameters={"top_k": 3})
    made(store, "small", **{"from": "base"}, quantize="q4_0")
    base, small = stored(store, "base"), stored(store, "small")
    assert [each.media_type for each in small.layers] == [each.media_type for each in base.layers]
    assert [each.digest for each in small.layers[1:]] == [each.digest for each in base.layers[1:]]
    assert (header(store, "base").file_type, header(store, "small").file_type) == ("F16", "Q4_0")
    config = orjson.loads(blob(store, small.config.digest))
    assert (config["file_type"], config["model_type"]) == ("Q4_0", header(store, "base").parameter_size)
    assert {each.name for each in header(store, "small").tensors} == {
        each.name for each in header(store, "base").tensors
    }


def test_a_split_model_is_joined_beside_a_projector(store: Store) -> None:  # noqa: F811
    files: dict[str, bytes] = {"mmproj.gguf": gguf({"general.architecture": "clip"})}
    for number in range(2):
        told = {"general.architecture": "llama", "split.no": number, "split.count": 2, "llama.context_length": 9}
        data = gguf(told, [(f"blk.{number}.attn_norm.weight", (8,), 0)])
        files[f"m-{number + 1:05}-of-00002.gguf"] = data[:-32] + bytes([number]) * 32
    said = made(store, files=uploaded(store, files))
    assert said[0]["status"] == "joining 2 parts"
    found = header(store, "m")
    assert [each.name for each in found.tensors] == ["blk.0.attn_norm.weight", "blk.1.attn_norm.weight"]
    assert (found.kind, found.context_length) == ("model", 9)
    assert blob(store, stored(store, "m").model.digest)[found.data :] == bytes(32) + bytes([1]) * 32
    assert len(stored(store, "m").layers) == 2


def test_what_is_wrong_is_told_and_leaves_nothing(store: Store) -> None:  # noqa: F811
    files = decoder_folder(tensors={"model.norm.weight": decoder_tensors()["model.norm.weight"]})
    with pytest.raises(InvalidRequest, match="is missing"):
        made(store, files=uploaded(store, files))
    tensors = decoder_tensors()
    tensors["lm_head.weight"][:] = 1e9
    late = uploaded(store, decoder_folder(tensors=tensors))
    with pytest.raises(InvalidRequest, match=r"numbers that F16 cannot hold"):
        made(store, files=late)
    assert list(store.list("manifests/")) == []
    assert list(store.list("leases/")) == []
    assert store.abandon(time.time() + 60) == 0


def test_it_stops_when_it_is_told_to(store: Store) -> None:  # noqa: F811
    stop = threading.Event()
    asked = parse({"model": "m", "files": uploaded(store, large()), "quantize": "F32"}).model_dump()

    def tell(step: dict[str, Any]) -> None:
        stop.set()

    with pytest.raises(Cancelled):
        make(store, {"model": "m", "create": asked}, tell, stop)
    assert list(store.list("manifests/")) == []
    assert store.abandon(time.time() + 60) == 0


def test_garbage_is_collected_beside_it(store: Store) -> None:  # noqa: F811
    """Collections while it reads, and when it is done but the model has no name yet: it needs what it has."""
    files = uploaded(store, large())
    collected: list[Collected] = []

    def tell(step: dict[str, Any]) -> None:
        if not step["status"].startswith(("writing", "success")):
            collected.append(collect(store, grace_s=-5))

    asked = parse({"model": "m", "files": files, "quantize": "F32"}).model_dump()
    make(store, {"model": "m", "create": asked}, tell, threading.Event())
    assert len(collected) > 2
    assert all(each == Collected() for each in collected)
    assert store.head(blob_key(stored(store, "m").model.digest)) is not None
    assert collect(store, grace_s=-5).blobs == len(files)
