"""Models made of others and of files: layers, digests, progress, refusals, and writers that meet."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.catalog import manifest as m
from shared.catalog.change import copy, delete, find, write
from shared.catalog.create import create
from shared.catalog.directory import DirectoryStore
from shared.catalog.lease import leased
from shared.catalog.manifest import Layer, Manifest, blob_key, build_manifest
from shared.catalog.names import ModelName
from shared.errors import InvalidRequest, ModelNotFound, ModelUnavailable, PunaError
from shared.schema.create import parse
from tests.gguf_files import MINIMAL, gguf

PROJECTOR = gguf({"general.architecture": "clip"})
ADAPTER = gguf({"general.architecture": "test", "general.type": "adapter"})


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "models")


def upload(store: DirectoryStore, data: bytes) -> str:
    digest = m.digest_of(data)
    store.put(blob_key(digest), data)
    return digest


def made(store: DirectoryStore, model: str = "test", **body: Any) -> list[str]:
    """The statuses of one create; a model of the minimal file unless the body says otherwise."""
    if "from_" in body:
        body["from"] = body.pop("from_")
    elif "files" not in body:
        body["files"] = {"test.gguf": upload(store, MINIMAL)}
    return [line["status"] for line in create(store, parse({"model": model, **body}))]


def stored(store: DirectoryStore, name: str = "test") -> Manifest:
    found = find(store, ModelName.parse(name)).found
    assert found is not None
    return Manifest.from_bytes(found.data)


def blob(store: DirectoryStore, layer: Layer | None) -> bytes:
    assert layer is not None
    found = store.get(blob_key(layer.digest))
    assert found is not None
    return found.data


def config(store: DirectoryStore, name: str = "test") -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(blob(store, stored(store, name).config))
    return value


def ends(layer: Layer | None) -> tuple[str, str]:
    assert layer is not None
    return layer.digest[7:15], layer.digest[-4:]


def test_digests_are_those_that_ollama_gives(store: DirectoryStore) -> None:
    made(
        store,
        template="{{ .System }} {{ .Prompt }}",
        system="Say hi!",
        parameters={"temperature": 1, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]},
        messages=[
            {"role": "assistant", "content": "What is my purpose?"},
            {"role": "user", "content": "You run tests."},
            {"role": "assistant", "content": "Oh, my god."},
        ],
    )
    manifest = stored(store)
    assert ends(manifest.model) == ("89a2116c", "5fad")
    assert ends(manifest.config) == ("99759ad5", "bc8c")
    assert ends(manifest.layer(m.TEMPLATE)) == ("fe7ac77b", "91ed")
    assert ends(manifest.layer(m.SYSTEM)) == ("f29e82a8", "5851")
    assert ends(manifest.layer(m.PARAMS)) == ("1d0ad712", "1e37")
    assert ends(manifest.layer(m.MESSAGES)) == ("298baeaf", "ffc4")


def test_digests_of_what_is_merged_and_replaced_are_those_that_ollama_gives(store: DirectoryStore) -> None:
    made(
        store,
        parameters={"temperature": 1, "top_k": 10, "stop": ["USER:", "ASSISTANT:"]},
        messages=[{"role": "assistant", "content": "Oh, my god."}],
    )
    said = [
        {"role": "assistant", "content": "You're a test, Harry."},
        {"role": "user", "content": "I-I'm a what?"},
        {"role": "assistant", "content": "A test. And a thumping good one at that, I'd wager."},
    ]
    made(store, "next", from_="test", parameters={"temperature": 0.6, "top_p": 0.7}, messages=said)
    assert ends(stored(store, "next").layer(m.PARAMS)) == ("e29a7b3c", "e1ba")
    assert ends(stored(store, "next").layer(m.MESSAGES)) == ("a60ecc9d", "f4db")
    made(store, "last", from_="next", parameters={"stop": ["<|endoftext|>"]}, system="Say bye!")
    assert ends(stored(store, "last").layer(m.PARAMS)) == ("12f58bb7", "4d35")
    assert ends(stored(store, "last").layer(m.MESSAGES)) == ("a60ecc9d", "f4db"), "inherited"
    assert ends(stored(store, "last").layer(m.SYSTEM)) == ("4c5f51fa", "cc86")


def test_progress(store: DirectoryStore) -> None:
    system = hashlib.sha256(b"Say hi!").hexdigest()
    model = hashlib.sha256(MINIMAL).hexdigest()
    assert made(store, system="Say hi!") == [
        "parsing GGUF",
        f"using existing layer sha256:{model}",
        f"creating new layer sha256:{system}",
        "writing manifest",
        "success",
    ]
    assert made(store, system="Say hi!")[2] == f"using existing layer sha256:{system}", "the second time it is there"


def test_layers_are_shared_inherited_replaced_and_merged(store: DirectoryStore) -> None:
    made(
        store,
        "base",
        system="old",
        template="{{ .Prompt }}",
        license="one",
        parameters={"top_k": 1, "stop": ["a", "b"]},
    )
    made(store, "child", from_="BASE", system="new", license=["two"], parameters={"seed": 7, "stop": "c"})
    base, child = stored(store, "base"), stored(store, "child")
    assert [layer.media_type for layer in child.layers] == [
        *(m.MODEL, m.TEMPLATE, m.LICENSE, m.SYSTEM, m.LICENSE, m.PARAMS)
    ]
    assert child.model.digest == base.model.digest
    assert child.model.origin == "base:latest"
    assert blob(store, child.layer(m.SYSTEM)) == b"new"
    assert [blob(store, layer) for layer in child.layers if layer.media_type == m.LICENSE] == [b"one", b"two"]
    assert orjson.loads(blob(store, child.layer(m.PARAMS))) == {"top_k": 1, "seed": 7, "stop": ["c"]}
    assert config(store, "child") == config(store, "base")


def test_template_is_kept_byte_for_byte(store: DirectoryStore) -> None:
    template = "{% for m in messages %}\r\n {{ m.content }}\t{% endfor %}\n\n"
    made(store, template=template)
    assert blob(store, stored(store).layer(m.TEMPLATE)) == template.encode()


def test_a_legacy_template_is_replaced_too(store: DirectoryStore) -> None:
    made(store, "base")
    manifest, old = stored(store, "base"), Layer.of(m.PROMPT, b"{{ .Prompt }}")
    store.put(blob_key(old.digest), b"{{ .Prompt }}")
    old_one = build_manifest(manifest.config, [*manifest.layers, old])
    store.put(ModelName.parse("base").manifest_key, old_one.raw)
    made(store, "child", from_="base", template="new")
    assert [layer.media_type for layer in stored(store, "child").layers] == [m.MODEL, m.TEMPLATE]


def test_renderer_parser_and_requires_go_round(store: DirectoryStore) -> None:
    made(store, "base", renderer="qwen3-coder", parser="qwen3-coder", requires="v0.14.0")
    made(store, "child", from_="base", parser="other")
    told = config(store, "child")
    assert (told["renderer"], told["parser"], told["requires"]) == ("qwen3-coder", "other", "0.14.0")


def test_files_rebuild_from_scratch(store: DirectoryStore) -> None:
    made(store, system="old")
    made(store)
    assert stored(store).layer(m.SYSTEM) is None


def test_a_projector_and_an_adapter(store: DirectoryStore) -> None:
    files = {name: upload(store, data) for name, data in (("mmproj.gguf", PROJECTOR), ("a.gguf", MINIMAL))}
    made(store, files=files, adapters={"lora.gguf": upload(store, ADAPTER)})
    assert [layer.media_type for layer in stored(store).layers] == [m.MODEL, m.PROJECTOR, m.ADAPTER]
    assert config(store)["model_families"] == ["test", "clip", "test"]
    other = gguf({"general.architecture": "test", "general.type": "adapter", "adapter.lora.alpha": 2.0})
    made(store, "child", from_="test", adapters={"lora.gguf": upload(store, other)})
    child = stored(store, "child")
    assert [layer.media_type for layer in child.layers] == [m.MODEL, m.PROJECTOR, m.ADAPTER]
    assert blob(store, child.layer(m.ADAPTER)) == other, "an adapter takes the place of the base's"


def test_a_projector_is_added_to_a_base(store: DirectoryStore) -> None:
    made(store, "base")
    made(store, "child", from_="base", files={"mmproj.gguf": upload(store, PROJECTOR)})
    assert stored(store, "child").layer(m.PROJECTOR)


def test_what_only_the_weights_know_is_told_in_the_config(store: DirectoryStore) -> None:
    jinja = "{% if tools %}<tool_call>{% endif %}<think>"
    chat = gguf({"general.architecture": "llama", "tokenizer.chat_template": jinja})
    made(store, "chat", files={"m.gguf": upload(store, chat)})
    assert config(store, "chat")["capabilities"] == ["completion", "thinking", "tools"]
    made(store, "go", files={"m.gguf": upload(store, chat)}, template="{{ .Prompt }}")
    assert "capabilities" not in config(store, "go"), "a template of the request's own decides"
    embedder = {"general.architecture": "newbert", "newbert.pooling_type": 1, "newbert.context_length": 512}
    made(store, "e", files={"m.gguf": upload(store, gguf({**embedder, "newbert.embedding_length": 384}))})
    told = config(store, "e")
    assert (told["capabilities"], told["context_length"], told["embedding_length"]) == (["embedding"], 512, 384)


def test_a_base_that_is_not_there(store: DirectoryStore) -> None:
    with pytest.raises(ModelNotFound, match="model 'nobody' not found"):
        made(store, "child", from_="nobody")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "a/b/c/d", "from": "x"}, "invalid model name"),
        ({"model": "m"}, "neither 'from' or 'files' was specified"),
        ({"model": "m", "files": {}}, "no files provided to convert"),
        ({"model": "m", "files": {"/etc/m.gguf": "sha256:" + "0" * 64}}, "file path must be relative"),
        ({"model": "m", "files": {"../m.gguf": "sha256:" + "0" * 64}}, "file path must be relative"),
        ({"model": "m", "files": {"m.gguf": "sha256:00"}}, "invalid digest format"),
        ({"model": "m", "files": {"m.gguf": "GGUF?"}}, "supplied file was not in GGUF format"),
        ({"model": "m", "files": {"m": "GGUF?"}}, "unknown type"),
        ({"model": "m", "files": {"model.safetensors": "GGUF?"}}, "unknown type"),
        ({"model": "m", "files": {"m.gguf": "PROJECTOR"}}, "must hold one model; it has 0"),
        ({"model": "m", "files": {"m.gguf": "CUT"}}, "is cut off: its tensors end at byte 1248, and it has 1247 bytes"),
        ({"model": "m", "files": {"m.gguf": "SPLIT"}}, "is a part of a model: name all parts"),
        ({"model": "m", "files": {"m.gguf": "sha256:" + "0" * 64}}, "is not in the catalog, upload it first"),
        ({"model": "m", "from": "base", "files": {"m.gguf": "MINIMAL"}}, "'from' names a model"),
        ({"model": "m", "from": "base", "adapters": {"a": "MINIMAL"}}, "is no adapter"),
        ({"model": "m", "from": "base", "adapters": {"a": "ADAPTER", "b": "ADAPTER"}}, "only one adapter"),
        ({"model": "m", "from": "base", "template": "{{ .Prompt"}, "template error: "),
        ({"model": "m", "from": "base", "template": "{% for"}, "template error: "),
        (
            {"model": "m", "from": "base", "quantize": "q4_K_M"},
            "unsupported quantization type Q4_K_M - supported types are Q8_0",
        ),
        ({"model": "m", "from": "base", "parameters": {"colour": 1}}, "unknown parameter 'colour'"),
        ({"model": "m", "from": "base", "parameters": {"num_ctx": "1"}}, 'option "num_ctx" must be of type integer'),
        ({"model": "m", "from": "base", "messages": [{"role": "tool", "content": "x"}]}, "message role must be one of"),
        ({"model": "m", "from": "base", "messages": [{"role": "user"}]}, "expected a string"),
        ({"model": "m", "from": "base", "requires": "new"}, "requires must be a valid semver"),
        ({"model": "m", "from": "base", "license": {"a": 1}}, "a string or an array of strings"),
        ({"model": "m", "from": "base", "colour": "red"}, "Unknown parameter: 'colour'."),
        ({"model": "m", "from": "base", "remote_host": "example.com"}, "not supported"),
        ({}, "missing request body"),
    ],
)
def test_refusals(body: dict[str, Any], words: str, store: DirectoryStore) -> None:
    made(store, "base")
    named = {"MINIMAL": MINIMAL, "PROJECTOR": PROJECTOR, "ADAPTER": ADAPTER, "GGUF?": b"no GGUF"}
    named["CUT"] = gguf({"general.architecture": "test"}, [("a", (256,), 0), ("b", (8, 2), 0)])[:-1]
    named["SPLIT"] = gguf({"general.architecture": "test", "split.count": 2})
    for field in ("files", "adapters"):
        given = body.get(field) or {}
        if any(value in named for value in given.values()):
            body = {**body, field: {name: upload(store, named[value]) for name, value in given.items()}}
    with pytest.raises(InvalidRequest) as error:
        list(create(store, parse(body)))
    assert words in error.value.message
    assert find(store, ModelName.parse("m")).found is None


def test_older_names_of_fields(store: DirectoryStore) -> None:
    made(store, "base")
    assert parse({"name": "m", "from": "base", "quantization": ""}).model == "m"


def test_an_existing_name_keeps_its_case(store: DirectoryStore) -> None:
    made(store, "Base:Q4")
    made(store, "bASE:q4", system="x")
    copy(store, "base:q4", "COPY")
    copy(store, "BASE:Q4", "copy:LATEST")
    names = sorted(
        entry.key.removeprefix("manifests/registry.ollama.ai/library/") for entry in store.list("manifests/")
    )
    assert names == ["Base/Q4", "COPY/latest"]


def test_copy_and_delete(store: DirectoryStore) -> None:
    made(store, "base")
    copy(store, "base", "gpt-3.5-turbo")
    assert stored(store, "gpt-3.5-turbo").digest == stored(store, "base").digest
    copy(store, "base", "BASE")
    delete(store, "GPT-3.5-turbo")
    assert [entry.key.split("/")[3] for entry in store.list("manifests/")] == ["base"]
    for call, words in (
        (lambda: copy(store, "nobody", "x"), 'model "nobody" not found'),
        (lambda: copy(store, "a b", "x"), 'source "a b" is invalid'),
        (lambda: copy(store, "base", "a/b/c/d"), 'destination "a/b/c/d" is invalid'),
        (lambda: delete(store, "nobody"), "model 'nobody' not found"),
        (lambda: delete(store, "a b"), 'name "a b" is invalid'),
    ):
        with pytest.raises(PunaError) as error:
            call()
        assert error.value.message == words


def test_a_manifest_never_names_a_blob_that_is_not_whole(store: DirectoryStore) -> None:
    made(store, "base")
    manifest = stored(store, "base")
    store.put(blob_key(manifest.model.digest), MINIMAL[:-1])
    with pytest.raises(ModelUnavailable, match="not whole"):
        copy(store, "base", "other")
    store.delete(blob_key(manifest.model.digest))
    with pytest.raises(ModelUnavailable, match="not in the catalog"), leased(store) as lease:
        write(store, ModelName.parse("other"), lambda _: manifest, lease)
    assert find(store, ModelName.parse("other")).found is None


def test_spellings_that_begin_at_once_end_as_one(store: DirectoryStore) -> None:
    spelled = ["model", "Model", "MODEL", "mOdEl"]
    with ThreadPoolExecutor(16) as pool:
        work = [pool.submit(made, store, spelled[i % 4], system=f"s{i}") for i in range(16)]
    for done in work:
        assert done.result()[-1] == "success"
    assert len(list(store.list("manifests/"))) == 1
