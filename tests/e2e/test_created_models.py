"""Models that were created here, in the real engine: an adapter is applied, a template is used, parameters hold."""

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import ollama
import pytest

from infra.seeds.models import SMOLLM2
from shared import keys
from shared.catalog.create import create
from shared.catalog.directory import DirectoryStore
from shared.schema.create import parse
from tests.harness import Stack, running_stack, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.redis]

WIDTH = 576
SAME = {"temperature": 0, "seed": 1, "num_predict": 8}
ASKED = [{"role": "user", "content": "What is the capital of France?"}]


def adapter(path: Path, strength: float) -> Path:
    """A LoRA of rank 1 on one matrix of the default model; of strength 0 it changes nothing."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    random = np.random.default_rng(1)
    for name, shape in (("a", (1, WIDTH)), ("b", (WIDTH, 1))):
        writer.add_tensor(f"blk.0.attn_output.weight.lora_{name}", random.normal(size=shape).astype("f4") * strength)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def catalog(folder: Path, models: Path) -> DirectoryStore:
    """A catalog of its own with the default model, whose blobs are links into the shared one."""
    store = DirectoryStore(folder)
    (folder / "blobs").mkdir(parents=True)
    for blob in (models / "blobs").glob("sha256-*"):
        (folder / "blobs" / blob.name).symlink_to(blob)
    manifests = models / "manifests"
    for manifest in (path for path in manifests.rglob("*") if path.is_file() and not path.name.startswith(".")):
        store.put(f"manifests/{manifest.relative_to(manifests).as_posix()}", manifest.read_bytes())
    return store


@pytest.fixture(scope="module")
def stack(catalog_of_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("created")
    environ = {"PUNA_ENGINE": "xllamacpp", "PUNA_CONTEXT": "512", "PUNA_SLOTS": "1", "PUNA_THREADS": "1"}
    with running_stack(folder, **environ) as stack:
        catalog(folder / "own", catalog_of_models)
        stack.environ["PUNA_CATALOG"] = str(folder / "own")
        stack.start_api()
        stack.start_worker(ready=False, PUNA_MODEL="*")
        wait_for(lambda: stack.redis.exists(keys.SEEKERS), "the worker serves any model")
        yield stack


@pytest.fixture
def client(stack: Stack) -> Iterator[ollama.Client]:
    client = ollama.Client(host=stack.url)
    yield client
    client.close()


def said(client: ollama.Client, model: str) -> str:
    """A model's answer; its engine goes after it."""
    return client.chat(model, ASKED, options=SAME, keep_alive=0).message.content or ""


def test_an_adapter_is_applied(client: ollama.Client, tmp_path: Path) -> None:
    plain = said(client, SMOLLM2.name)
    answers = {}
    for name, strength in (("same", 0.0), ("changed", 3.0)):
        digest = client.create_blob(adapter(tmp_path / f"{name}.gguf", strength))
        assert client.create(name, from_=SMOLLM2.name, adapters={"lora.gguf": digest}).status == "success"
        answers[name] = said(client, name)
    assert answers["same"] == plain
    assert answers["changed"] != plain


def test_a_template_is_used(client: ollama.Client) -> None:
    template = "{% for m in messages %}The capital of France is{% endfor %}"
    client.create("templated", from_=SMOLLM2.name, template=template)
    assert "Paris" in said(client, "templated")
    assert client.show("templated").template == template


def test_the_engine_gets_the_context_of_the_modelfile(client: ollama.Client) -> None:
    client.create("narrow", from_=SMOLLM2.name, parameters={"num_ctx": 256})
    client.create("wide", from_=SMOLLM2.name, parameters={"num_ctx": 1024})
    long = [{"role": "user", "content": "word " * 600}]
    assert client.chat("wide", long, options={"num_predict": 1}).prompt_eval_count > 600, "more than the setting"
    with pytest.raises(ollama.ResponseError, match="256") as caught:
        client.chat("narrow", [{"role": "user", "content": "word " * 300}])
    assert caught.value.status_code == 400
    told = {each.model: each.context_length for each in client.ps().models}
    assert told == {"narrow:latest": 256, "wide:latest": 1024}


def test_a_digest_is_shared(stack: Stack, client: ollama.Client) -> None:
    store = DirectoryStore(Path(stack.environ["PUNA_CATALOG"]))
    blobs = len(list(store.list("blobs/")))
    list(create(store, parse({"model": "again", "from": SMOLLM2.name})))
    client.copy(SMOLLM2.name, "gpt-3.5-turbo")
    assert len(list(store.list("blobs/"))) == blobs, "a model made of another brings no new blob"
