"""What is told of a model, in Ollama's shapes."""

import asyncio
from pathlib import Path
from typing import Any

from shared.catalog.catalog import Catalog, CatalogModel
from shared.catalog.create import create
from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import blob_key, digest_of
from shared.catalog.modelfile import parse as parse_modelfile
from shared.catalog.show import Instead, details, entry, show
from shared.schema.create import parse
from tests.gguf_files import MINIMAL, gguf

WEIGHTS = gguf(
    {
        "general.architecture": "llama",
        "general.file_type": 3,
        "general.name": "A name",
        "llama.context_length": 8192,
        "tokenizer.chat_template": "{% if tools %}{% endif %}",
        "tokenizer.ggml.tokens": ["t"] * 100,
    },
    [("token_embd.weight", (64, 100), 3)],
)


def made(root: Path, **body: Any) -> tuple[DirectoryStore, CatalogModel]:
    store = DirectoryStore(root)
    digest = digest_of(WEIGHTS)
    store.put(blob_key(digest), WEIGHTS)
    list(create(store, parse({"model": "m", "files": {"m.gguf": digest}, **body})))
    return store, asyncio.run(Catalog(store).resolve("m"))


def test_all_of_it(tmp_path: Path) -> None:
    store, model = made(
        tmp_path,
        system='Say "hi".\nTwice.',
        license=["one", "two"],
        parameters={"temperature": 0.5, "stop": ["<a>", "b"]},
        messages=[{"role": "user", "content": "Hi"}],
        renderer="r",
        parser="p",
        requires="0.14.0",
    )
    told = show(store, model)
    assert told["license"] == "one\ntwo"
    assert told["parameters"] == (
        'stop                           "<a>"\nstop                           "b"\ntemperature                    0.5'
    )
    assert told["template"] == "{% if tools %}{% endif %}"
    assert told["system"] == 'Say "hi".\nTwice.'
    assert told["messages"] == [{"role": "user", "content": "Hi"}]
    assert (told["renderer"], told["parser"], told["requires"]) == ("r", "p", "0.14.0")
    assert told["capabilities"] == ["completion", "tools"]
    assert told["model_info"] == {
        "general.architecture": "llama",
        "general.file_type": 3,
        "general.parameter_count": 6400,
        "llama.context_length": 8192,
        "tokenizer.ggml.tokens": [],
    }
    assert told["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "6K",
        "quantization_level": "Q4_1",
    }
    assert told["modified_at"].endswith("Z")
    assert told["tensors"] == [{"name": "token_embd.weight", "type": "Q4_1", "shape": [64, 100]}]
    assert "projector_info" not in told


def test_its_modelfile_makes_the_model_again(tmp_path: Path) -> None:
    store, model = made(
        tmp_path,
        system="a\nb",
        parameters={"num_ctx": 4096, "stop": ["x y"]},
        messages=[{"role": "user", "content": "q"}],
    )
    file = parse_modelfile(show(store, model)["modelfile"])
    assert file.all("from") == ["m:latest"]
    asked = {"model": "again", "from": file.all("from")[-1], **file.request()}
    list(create(store, parse(asked)))
    again = asyncio.run(Catalog(store).resolve("again"))
    assert {layer.digest for layer in again.manifest.layers} == {layer.digest for layer in model.manifest.layers}


def test_verbose_and_overrides(tmp_path: Path) -> None:
    store, model = made(tmp_path, system="old", parameters={"top_k": 1})
    told = show(store, model, verbose=True, instead=Instead("new", "{{ .Prompt }}", {"top_k": 2, "seed": 3}))
    assert told["model_info"]["tokenizer.ggml.tokens"] == ["t"] * 100
    assert told["tensors"] == show(store, model)["tensors"]
    assert (told["system"], told["template"]) == ("new", "{{ .Prompt }}")
    assert "seed                           3" in told["parameters"]
    assert "top_k                          2" in told["parameters"]


def test_a_model_without_tensors_has_a_list_of_them_all_the_same(tmp_path: Path) -> None:
    store, model = made(tmp_path)
    store.put(blob_key(model.manifest.model.digest), MINIMAL)
    assert show(store, model)["tensors"] == []


def test_weights_that_are_gone(tmp_path: Path) -> None:
    store, model = made(tmp_path)
    store.delete(blob_key(model.manifest.model.digest))
    assert show(store, model)["model_info"] == {}


def test_a_line_of_the_list(tmp_path: Path) -> None:
    _, model = made(tmp_path)
    line = entry(model)
    assert (line["name"], line["model"]) == ("m:latest", "m:latest")
    assert line["digest"] == model.manifest.digest
    assert line["size"] == model.manifest.size
    assert line["details"] == details(model)
