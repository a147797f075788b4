"""Fields of `POST /v1/chat/completions` beyond plain text: what each refuses, by name, and what a model must be
capable of. Models of every kind are in the catalog; the fake engine answers for all of them."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.catalog.directory import DirectoryStore
from shared.catalog.manifest import CONFIG, MODEL, PARAMS, Layer, blob_key, build_manifest, encode_config, encode_params
from shared.catalog.names import ModelName
from tests.contract.conftest import Api, refused
from tests.harness import Stack, running_stack

pytestmark = pytest.mark.redis

MISSING = "missing_required_parameter"
UNKNOWN = "unknown_parameter"
UNSUPPORTED = "unsupported_parameter"

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "f"}}
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
"""One red pixel."""
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}


def add(stack: Stack, name: str, *can: str, **parameters: Any) -> None:
    """Another name for the weights that the fake engine serves, of other capabilities."""
    store = DirectoryStore(stack.catalog)
    weights = b"GGUF not read by the fake engine"
    config = encode_config({"model_format": "gguf", "model_family": "llama", "capabilities": list(can)})
    blobs = [(Layer.of(CONFIG, config), config), (Layer.of(MODEL, weights), weights)]
    if parameters:
        params = encode_params(parameters)
        blobs.append((Layer.of(PARAMS, params), params))
    for layer, data in blobs:
        store.put(blob_key(layer.digest), data)
    (config_layer, _), *layers = blobs
    manifest = build_manifest(config_layer, [layer for layer, _ in layers])
    store.put(ModelName.parse(name).manifest_key, manifest.raw)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_stack(tmp_path_factory.mktemp("fields"), PUNA_CONTEXT="1024") as stack:
        add(stack, "able", "completion", "tools", "thinking")
        add(stack, "seeing", "completion", "vision")
        add(stack, "short", "completion", num_predict=2, temperature=0.5)
        add(stack, "embedder", "embedding")
        add(stack, "broken", "completion", top_k="forty")
        stack.start_worker()
        stack.start_api()
        with httpx.Client(base_url=stack.url, timeout=20) as client:
            yield Api(stack, stack.url, client)


def schema(**fields: Any) -> dict[str, Any]:
    named = {"name": "s", "schema": {"type": "object"}, **fields}
    return {"type": "json_schema", "json_schema": {name: each for name, each in named.items() if each is not ...}}


def tool(**fields: Any) -> list[dict[str, Any]]:
    function = {"name": "f", **fields}
    return [{"type": "function", "function": {name: each for name, each in function.items() if each is not ...}}]


def allowed(**fields: Any) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED], **fields}}


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"tools": {}}, "tools", None),
    ({"tools": ""}, "tools", None),
    ({"tools": [5]}, "tools[0]", None),
    ({"tools": [{}]}, "tools[0].type", MISSING),
    ({"tools": [{"type": "x"}]}, "tools[0].type", None),
    ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type", UNSUPPORTED),
    ({"tools": [{"type": "function"}]}, "tools[0].function", MISSING),
    ({"tools": [{**TOOL, "x": 1}]}, "tools[0].x", UNKNOWN),
    ({"tools": tool(name=...)}, "tools[0].function.name", MISSING),
    ({"tools": tool(name="")}, "tools[0].function.name", None),
    ({"tools": tool(name="a b")}, "tools[0].function.name", None),
    ({"tools": tool(name="n" * 65)}, "tools[0].function.name", None),
    ({"tools": tool(name=5)}, "tools[0].function.name", None),
    ({"tools": tool(description=5)}, "tools[0].function.description", None),
    ({"tools": tool(strict="yes")}, "tools[0].function.strict", None),
    ({"tools": tool(colour="red")}, "tools[0].function.colour", UNKNOWN),
    ({"tools": tool(parameters=[])}, "tools[0].function.parameters", None),
    ({"tools": tool(parameters={"type": "objekt"})}, "tools[0].function.parameters.type", None),
    ({"tools": [TOOL, TOOL]}, "tools[1].function.name", None),
    ({"tools": [tool(name=f"f{k}")[0] for k in range(129)]}, "tools", None),
    ({"tool_choice": "required"}, "tool_choice", None),
    ({"tool_choice": NAMED}, "tool_choice.function.name", None),
    ({"tools": [TOOL], "tool_choice": "must"}, "tool_choice", None),
    ({"tools": [TOOL], "tool_choice": 5}, "tool_choice", None),
    ({"tools": [TOOL], "tool_choice": {}}, "tool_choice.type", MISSING),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function", MISSING),
    ({"tools": [TOOL], "tool_choice": tool(name="g")[0]}, "tool_choice.function.name", None),
    ({"tools": [TOOL], "tool_choice": {"type": "custom"}}, "tool_choice.type", UNSUPPORTED),
    ({"tools": [TOOL], "tool_choice": allowed(mode=None)}, "tool_choice.allowed_tools.mode", MISSING),
    ({"tools": [TOOL], "tool_choice": allowed(mode="none")}, "tool_choice.allowed_tools.mode", None),
    ({"tools": [TOOL], "tool_choice": allowed(tools=[])}, "tool_choice.allowed_tools.tools", None),
    (
        {"tools": [TOOL], "tool_choice": allowed(tools=tool(name="g"))},
        "tool_choice.allowed_tools.tools[0].function.name",
        None,
    ),
    ({"parallel_tool_calls": "true"}, "parallel_tool_calls", None),
    ({"response_format": "json"}, "response_format", None),
    ({"response_format": {}}, "response_format.type", MISSING),
    ({"response_format": {"type": 5}}, "response_format.type", None),
    ({"response_format": {"type": "xml"}}, "response_format.type", None),
    ({"response_format": {"type": "text", "x": 1}}, "response_format.x", UNKNOWN),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", MISSING),
    ({"response_format": {**schema(), "type": "json_object"}}, "response_format.json_schema", None),
    ({"response_format": schema(name=...)}, "response_format.json_schema.name", MISSING),
    ({"response_format": schema(name="a b")}, "response_format.json_schema.name", None),
    ({"response_format": schema(schema=...)}, "response_format.json_schema.schema", MISSING),
    ({"response_format": schema(schema=True)}, "response_format.json_schema.schema", None),
    ({"response_format": schema(strict=1)}, "response_format.json_schema.strict", None),
    ({"response_format": schema(schema={"$ref": "#/no"})}, "response_format.json_schema.schema.$ref", None),
    ({"top_logprobs": 5}, "top_logprobs", None),
    ({"top_logprobs": 0, "logprobs": False}, "top_logprobs", None),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs", None),
    ({"top_logprobs": -1, "logprobs": True}, "top_logprobs", None),
    ({"top_logprobs": 1.5, "logprobs": True}, "top_logprobs", None),
    ({"logprobs": 1}, "logprobs", None),
    ({"logit_bias": []}, "logit_bias", None),
    ({"logit_bias": {"cat": 1}}, "logit_bias", None),
    ({"logit_bias": {"-1": 1}}, "logit_bias", None),
    ({"logit_bias": {"5": 101}}, "logit_bias.5", None),
    ({"logit_bias": {"5": "1"}}, "logit_bias.5", None),
    ({"logit_bias": {"5": True}}, "logit_bias.5", None),
    ({"reasoning_effort": "extreme"}, "reasoning_effort", None),
    ({"reasoning_effort": 1}, "reasoning_effort", None),
    ({"reasoning": {"effort": "extreme"}}, "reasoning.effort", None),
    ({"reasoning": "high"}, "reasoning", None),
    ({"reasoning": {"summary": "auto"}}, "reasoning.summary", UNKNOWN),
    ({"reasoning_effort": "extreme", "reasoning": {"effort": "low"}}, "reasoning_effort", None),
    ({"metadata": {"a": 1}}, "metadata.a", None),
    ({"metadata": {f"k{k}": "v" for k in range(17)}}, "metadata", None),
    ({"safety_identifier": "s" * 65}, "safety_identifier", None),
    ({"prompt_cache_key": 5}, "prompt_cache_key", None),
    ({"options": []}, "options", None),
    ({"options": {"top_k": "40"}}, "options.top_k", None),
    ({"options": {"top_k": 1.5}}, "options.top_k", None),
    ({"options": {"min_p": True}}, "options.min_p", None),
    ({"options": {"min_p": 2}}, "options.min_p", None),
    ({"options": {"temperature": 3}}, "options.temperature", None),
    ({"options": {"num_predict": 0}}, "options.num_predict", None),
    ({"options": {"stop": [5]}}, "options.stop", None),
    ({"options": {"num_gpu": 1}}, "options.num_gpu", UNSUPPORTED),
    ({"options": {"tfs_z": 0.5}}, "options.tfs_z", UNSUPPORTED),
    ({"options": {"topk": 1}}, "options.topk", UNKNOWN),
    ({"top_k": 5, "options": {"top_k": 6}}, "options.top_k", None),
    ({"max_tokens": 5, "options": {"num_predict": 6}}, "options.num_predict", None),
    ({"options": {"num_ctx": 0}}, "options.num_ctx", None),
    ({"options": {"num_ctx": 1025}}, "options.num_ctx", None),
    ({"keep_alive": "soon"}, "keep_alive", None),
    ({"keep_alive": "5"}, "keep_alive", None),
    ({"keep_alive": True}, "keep_alive", None),
]
"""Fields; the `param` and the code that they are refused with, by a model that can do everything."""


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_refused(fields: dict[str, Any], param: str, code: str | None, api: Api) -> None:
    words = refused(api.chat(model="able", **fields), 400, param=param, code=code)
    assert words


ACCEPTED: list[dict[str, Any]] = [
    {"tools": []},
    {"tools": None, "tool_choice": "auto", "parallel_tool_calls": False},
    *({"tools": [TOOL], "tool_choice": each} for each in ("none", "auto", allowed())),
    {"response_format": {"type": "text"}},
    {"top_logprobs": 0, "logprobs": True},
    {"logit_bias": {}},
    {"logit_bias": {"0": -100, "1": 100, "2": 0.5}},
    {"reasoning_effort": ""},
    {"reasoning": {}},
    {"metadata": {"a": "b"}},
    {"metadata": {}, "safety_identifier": "hash", "prompt_cache_key": "k", "user": "u", "store": False},
    {"options": {}},
    {"options": {"num_ctx": 1024, "tfs_z": 1, "penalize_newline": False, "mirostat": 0, "num_keep": 24}},
    {"options": {"top_k": 5, "stop": "x", "seed": 1}, "top_k": 5},
    *({"keep_alive": each} for each in (300, -1, 0.5, "5m", "1h30m", "-1s", 0, "0s")),
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=lambda value: str(value)[:60])
def test_what_is_in_order(fields: dict[str, Any], api: Api) -> None:
    answer = api.chat(model="able", **fields)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("model", "fields", "param", "words"),
    [
        ("fake", {"tools": [TOOL]}, "tools", "registry.ollama.ai/library/fake:latest does not support tools"),
        (
            "fake",
            {"tools": [TOOL], "tool_choice": "none"},
            "tools",
            "registry.ollama.ai/library/fake:latest does not support tools",
        ),
        ("fake", {"reasoning_effort": "low"}, "reasoning_effort", '"fake" does not support thinking'),
        ("fake", {"reasoning": {"effort": "max"}}, "reasoning.effort", '"fake" does not support thinking'),
        (
            "able",
            {"messages": [IMAGE]},
            "messages[0].content[0].image_url",
            "registry.ollama.ai/library/able:latest does not support vision",
        ),
    ],
    ids=str,
)
def test_what_a_model_cannot(model: str, fields: dict[str, Any], param: str, words: str, api: Api) -> None:
    assert refused(api.chat(model=model, **fields), 400, param=param, code=UNSUPPORTED) == words


def seen(url: str) -> dict[str, Any]:
    """Fields of a request with one image."""
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": url}]
    return {"messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("data:image/png;base64,AAAA", "invalid_image_format"),
        ("data:text/plain;base64,AAAA", "invalid_image_url"),
        ("data:image/png;base64,====", "invalid_base64_image"),
        ("http://127.0.0.1/a.png", "invalid_image_url"),
        ("https://127.0.0.1/a.png", "invalid_image_url"),
        ("file:///etc/passwd", "invalid_image_url"),
        ("puna:image:" + "0" * 64 + ";png", "invalid_image_url"),
    ],
)
def test_an_image_is_checked_before_anything_is_queued(url: str, code: str, api: Api) -> None:
    refused(api.chat(model="seeing", **seen(url)), 400, param="messages[0].content[1].image_url", code=code)


def test_an_image_reaches_the_engine(api: Api) -> None:
    answer = api.chat(model="seeing", **seen(PNG))
    assert answer.status_code == 200, answer.text


def test_no_thinking_is_what_any_model_can(api: Api) -> None:
    assert api.chat(reasoning_effort="none").status_code == 200


def test_no_chat_with_an_embedding_model(api: Api) -> None:
    words = refused(api.chat(model="embedder"), 400, param="model", code=None)
    assert words == '"embedder" does not support chat'


def test_a_context_that_there_is_not_is_named_with_both_numbers(api: Api) -> None:
    words = refused(api.chat(options={"num_ctx": 4000}), 400, param="options.num_ctx", code=None)
    assert "4000" in words
    assert "1024" in words


def test_the_words_of_the_reference(api: Api) -> None:
    for fields, param, words in (
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs", "top_logprobs must be between 0 and 20"),
        (
            {"reasoning_effort": "extreme"},
            "reasoning_effort",
            'invalid reasoning value: "extreme" (must be "minimal", "low", "medium", "high", "xhigh", "ultra", "max", '
            'or "none")',
        ),
    ):
        assert refused(api.chat(model="able", **fields), 400, param=param, code=None) == words


def test_a_modelfile_s_parameter_is_a_default(api: Api) -> None:
    def length(**fields: Any) -> int:
        answer = api.chat(model="short", **fields)
        assert answer.status_code == 200, answer.text
        count: int = answer.json()["usage"]["completion_tokens"]
        return count

    assert length(max_tokens=...) == 2
    assert length(max_tokens=5) == 5
    assert length(max_tokens=..., options={"num_predict": 4}) == 4


def test_a_damaged_parameter_is_the_model_s_fault(api: Api) -> None:
    refused(api.chat(model="broken"), 500, param="model", code="invalid_manifest", type="api_error")


@pytest.mark.parametrize("stream", [False, True])
def test_three_choices_of_one_prompt(stream: bool, api: Api) -> None:
    answer = api.chat(n=3, stream=stream)
    assert answer.status_code == 200, answer.text
    if not stream:
        body = answer.json()
        assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
        assert {choice["message"]["content"] for choice in body["choices"]} == {"0 1 2 "}
        assert body["usage"]["completion_tokens"] == 9


def test_nothing_was_queued_in_vain(api: Api) -> None:
    assert api.stack.residue() == {}
