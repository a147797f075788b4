"""The official `ollama` package against the running API: its methods, sync and async, streamed and whole."""

import math
from pathlib import Path

import ollama
import pytest
from pydantic import BaseModel

from tests.gguf_files import gguf
from tests.harness import wait_for
from tests.ollama.conftest import CHAT

pytestmark = pytest.mark.redis

HELLO = [{"role": "user", "content": "Hi there"}]
COUNTED = "".join(f"{k} " for k in range(16))


def test_chat(client: ollama.Client) -> None:
    answer = client.chat("chatter", HELLO, options={"num_predict": 3, "temperature": 0.1}, keep_alive="5m")
    assert answer.message.content == "0 1 2 "
    assert answer.message.role == "assistant"
    assert (answer.model, answer.done, answer.done_reason) == ("chatter", True, "length")
    assert (answer.prompt_eval_count, answer.eval_count) == (2, 3)
    spans = (answer.load_duration, answer.prompt_eval_duration, answer.eval_duration)
    assert all(span is not None and span >= 0 for span in spans)
    assert answer.total_duration is not None
    assert 0 < sum(span or 0 for span in spans) <= answer.total_duration + 1000


def test_chat_in_a_stream(client: ollama.Client) -> None:
    parts = list(client.chat("chatter", HELLO, stream=True))
    assert "".join(part.message.content or "" for part in parts) == COUNTED
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", 16)
    assert parts[0].eval_count is None


def test_chat_with_thoughts(client: ollama.Client) -> None:
    whole = client.chat("thinker", HELLO, think=True, options={"num_predict": 1})
    assert (whole.message.thinking, whole.message.content) == ("0 1 ", "0 ")
    parts = list(client.chat("thinker", HELLO, think="low", stream=True, options={"num_predict": 1}))
    assert "".join(part.message.thinking or "" for part in parts) == "0 1 "
    assert parts[0].message.content == ""
    with pytest.raises(ollama.ResponseError, match='"chatter" does not support thinking') as error:
        client.chat("chatter", HELLO, think=True)
    assert error.value.status_code == 400
    assert client.chat("chatter", HELLO, think=False, options={"num_predict": 1}).message.content == "0 "


def test_chat_in_a_format(client: ollama.Client) -> None:
    class Pet(BaseModel):
        name: str
        age: int

    answer = client.chat("chatter", HELLO, format=Pet.model_json_schema())
    assert Pet.model_validate_json(answer.message.content or "") == Pet(name="", age=0)
    assert client.chat("chatter", HELLO, format="json").message.content == "{}"


def test_chat_with_tools_and_their_results(client: ollama.Client) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers.

        Args:
            a: the first
            b: the second
        """
        return a + b

    call = {"function": {"name": "add", "arguments": {"a": 1, "b": 2}}}
    said = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_name": "add"},
    ]
    assert client.chat("chatter", said, tools=[add], options={"num_predict": 1}).message.content == "0 "
    with pytest.raises(
        ollama.ResponseError, match=r"registry\.ollama\.ai/library/thinker:latest does not support tools"
    ):
        client.chat("thinker", HELLO, tools=[add])


def test_log_probabilities(client: ollama.Client) -> None:
    for answer in (
        client.chat("chatter", HELLO, logprobs=True, top_logprobs=2, options={"num_predict": 2}),
        client.generate("chatter", "Hi", logprobs=True, top_logprobs=2, options={"num_predict": 2}),
    ):
        assert answer.logprobs is not None
        assert [entry.token for entry in answer.logprobs] == ["0 ", "1 "]
        assert [len(entry.top_logprobs or ()) for entry in answer.logprobs] == [2, 2]


def test_generate(client: ollama.Client) -> None:
    answer = client.generate("chatter", "Hi there", system="Be kind", options={"num_predict": 3})
    assert (answer.response, answer.done_reason, answer.eval_count) == ("0 1 2 ", "length", 3)
    assert answer.prompt_eval_count == 4, "the words of the prompt and of the system's message"
    parts = list(client.generate("chatter", "Hi", stream=True))
    assert "".join(part.response or "" for part in parts) == COUNTED
    assert parts[-1].done


def test_generate_raw(client: ollama.Client) -> None:
    answer = client.generate("chatter", "Hi there", raw=True)
    assert (answer.response, answer.done_reason) == (COUNTED, "stop"), "no limit of 16 tokens: the model's own end"
    assert answer.prompt_eval_count == len("Hi there"), "the prompt alone, in bytes"
    parts = list(client.generate("chatter", "Hi", raw=True, stream=True, options={"num_predict": 2}))
    assert "".join(part.response or "" for part in parts) == "0 1 "
    with pytest.raises(ollama.ResponseError, match="does not support insert"):
        client.generate("chatter", "def f(", suffix="return 1")


def test_a_request_for_nothing_finds_the_model(client: ollama.Client) -> None:
    assert client.generate("chatter", "", keep_alive=-1).done_reason == "load"

    def until() -> list[int | None]:
        found = (each for each in client.ps().models if each.model == "chatter:latest")
        return [each.expires_at and each.expires_at.year for each in found]

    wait_for(lambda: until() == [9999], "it is kept for ever")
    assert client.chat("chatter").done_reason == "load"
    (part,) = client.generate("chatter", stream=True)
    assert (part.response, part.done) == ("", True)


def test_a_request_for_nothing_unloads_and_loads(client: ollama.Client) -> None:
    def there() -> bool:
        return any(each.model == "chatter:latest" for each in client.ps().models)

    assert client.generate("chatter", "", keep_alive=0).done_reason == "unload"
    assert not there(), "it is unloaded when the answer says so"
    assert client.chat("chatter", keep_alive="0s").done_reason == "unload"
    assert not there(), "nothing is loaded to be unloaded"
    assert client.generate("chatter", "", keep_alive=-1).done_reason == "load"
    wait_for(there, "it is loaded")


def test_a_model_that_embeds_is_unloaded_too(client: ollama.Client) -> None:
    def there() -> bool:
        return any(each.model == "embedder:latest" for each in client.ps().models)

    client.embed("embedder", "a")
    wait_for(there, "it is loaded")
    assert client.generate("embedder", "", keep_alive=0).done_reason == "unload"
    wait_for(lambda: not there(), "it is unloaded")


def test_embed(client: ollama.Client) -> None:
    one, two = client.embed("embedder", "a"), client.embed("embedder", ["a", "b"])
    assert (len(one.embeddings), len(two.embeddings)) == (1, 2)
    assert two.embeddings[0] == one.embeddings[0] != two.embeddings[1]
    assert len(one.embeddings[0]) == 8
    assert math.isclose(math.hypot(*one.embeddings[0]), 1, rel_tol=1e-6)
    assert (one.prompt_eval_count, two.prompt_eval_count) == (1, 2)
    assert one.total_duration is not None
    assert one.total_duration > 0
    assert len(client.embed("embedder", "a", dimensions=3).embeddings[0]) == 3
    assert client.embeddings("embedder", "a").embedding == one.embeddings[0]


def test_too_long_a_text_is_cut_unless_it_must_not_be(client: ollama.Client) -> None:
    assert client.embed("embedder", "x" * 65).embeddings == client.embed("embedder", "x" * 64).embeddings
    with pytest.raises(ollama.ResponseError, match="the input length exceeds the context length") as error:
        client.embed("embedder", "x" * 65, truncate=False)
    assert error.value.status_code == 400


def test_list_show_copy_delete(client: ollama.Client) -> None:
    names = {model.model for model in client.list().models}
    assert {"chatter:latest", "thinker:latest", "embedder:latest"} <= names
    client.copy("chatter", "gpt-3.5-turbo")
    try:
        copied = next(model for model in client.list().models if model.model == "gpt-3.5-turbo:latest")
        chatter = next(model for model in client.list().models if model.model == "chatter:latest")
        assert copied.digest == chatter.digest
        assert copied.details is not None
        assert (copied.details.family, copied.details.quantization_level) == ("llama", "Q4_K_M")
        assert client.chat("gpt-3.5-turbo", HELLO, options={"num_predict": 1}).message.content == "0 "
        shown = client.show("gpt-3.5-turbo")
        assert shown.modelinfo is not None
        assert shown.modelinfo["llama.context_length"] == 8192
        assert shown.modelinfo["tokenizer.ggml.tokens"] == []
        assert shown.capabilities == ["completion", "tools"]
        assert shown.modified_at is not None
    finally:
        assert client.delete("gpt-3.5-turbo").status == "success"
    with pytest.raises(ollama.ResponseError, match=r"model 'gpt-3\.5-turbo' not found") as error:
        client.show("gpt-3.5-turbo")
    assert error.value.status_code == 404


def test_create_from_a_model(client: ollama.Client) -> None:
    steps = [
        step.status
        for step in client.create(
            "mario",
            from_="chatter",
            system="You are Mario.",
            template="{{ .System }} {{ .Prompt }}",
            license=["one", "two"],
            parameters={"temperature": 0.5, "num_predict": 2, "stop": ["<end>"]},
            messages=[{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me!"}],
            stream=True,
        )
    ]
    assert steps[-2:] == ["writing manifest", "success"]
    shown = client.show("mario")
    assert shown.template == "{{ .System }} {{ .Prompt }}"
    assert shown.license == "one\ntwo"
    assert (shown.parameters or "").splitlines() == [
        "num_predict                    2",
        'stop                           "<end>"',
        "temperature                    0.5",
    ]
    assert "FROM mario:latest" in (shown.modelfile or "")
    assert client.create("mario", from_="mario", parameters={"top_k": 5}).status == "success"
    assert "top_k" in (client.show("mario").parameters or "")
    client.delete("mario")


def test_a_model_s_parameters_are_its_defaults(client: ollama.Client) -> None:
    client.create("brief", from_="chatter", parameters={"num_predict": 2})
    try:
        assert client.chat("brief", HELLO).message.content == "0 1 "
        assert client.generate("brief", "Hi", raw=True).response == "0 1 "
        assert client.chat("brief", HELLO, options={"num_predict": 3}).message.content == "0 1 2 "
    finally:
        client.delete("brief")


def test_create_from_a_file(client: ollama.Client, tmp_path: Path) -> None:
    weights = gguf({"general.architecture": "llama", "general.file_type": 7, "general.name": "of a file"})
    path = tmp_path / "model.gguf"
    path.write_bytes(weights)
    digest = client.create_blob(path)
    assert client.create_blob(path) == digest, "again, and it is there"
    assert client.create("of-a-file", files={"model.gguf": digest}).status == "success"
    details = client.show("of-a-file").details
    assert details is not None
    assert (details.format, details.quantization_level) == ("gguf", "Q8_0")
    client.delete("of-a-file")


def test_ps(client: ollama.Client) -> None:
    loaded = {model.model: model for model in client.ps().models}
    assert {"chatter:latest", "thinker:latest", "embedder:latest"} <= set(loaded)
    chatter = loaded["chatter:latest"]
    assert chatter.size is not None
    assert int(chatter.size) == len(CHAT), "a fake engine counts as its weights"
    assert (chatter.context_length, chatter.expires_at is not None) == (4096, True)


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda c: c.chat("nobody", HELLO), 404, "model 'nobody' not found"),
        (lambda c: c.chat("embedder", HELLO), 400, '"embedder" does not support chat'),
        (lambda c: c.generate("embedder", "Hi"), 400, '"embedder" does not support generate'),
        (lambda c: c.embed("chatter", "Hi"), 400, '"chatter" does not support embeddings'),
        (lambda c: c.embed("nobody", "Hi"), 404, 'model "nobody" not found, try pulling it first'),
        (lambda c: c.chat("a b", HELLO), 400, "invalid model name"),
        (lambda c: c.chat("chatter", HELLO, options={"temperature": 9}), 400, "options.temperature"),
        (lambda c: c.chat("chatter", HELLO, options={"num_gpu": 1}), 400, "options.num_gpu"),
        (lambda c: c.chat("chatter", HELLO, keep_alive="soon"), 400, "keep_alive"),
        (lambda c: c.generate("chatter", "Hi", template="x"), 400, "template"),
        (lambda c: c.generate("chatter", "Hi", context=[1]), 400, "context"),
        (lambda c: c.generate("chatter", "Hi", raw=True, system="x"), 400, "'raw'"),
        (lambda c: c.copy("nobody", "x"), 404, 'model "nobody" not found'),
        (lambda c: c.delete("nobody"), 404, "model 'nobody' not found"),
        (lambda c: c.create("x"), 400, "neither 'from' or 'files' was specified"),
        (
            lambda c: c.create("x", from_="chatter", quantize="q8_0"),
            400,
            "quantization is only supported for F32, F16, BF16 models",
        ),
    ],
)
def test_refusals(call, status: int, words: str, client: ollama.Client) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ollama.ResponseError) as error:
        call(client)
    assert error.value.status_code == status
    assert words in error.value.error


def test_an_early_refusal_of_a_stream_has_its_status(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as error:
        list(client.chat("nobody", HELLO, stream=True))
    assert error.value.status_code == 404


async def test_asynchronously(async_client: ollama.AsyncClient) -> None:
    answer = await async_client.chat("chatter", HELLO, options={"num_predict": 2})
    assert answer.message.content == "0 1 "
    parts = [part async for part in await async_client.chat("chatter", HELLO, stream=True)]
    assert "".join(part.message.content or "" for part in parts) == COUNTED
    pieces = [part async for part in await async_client.generate("chatter", "Hi", stream=True)]
    assert "".join(part.response or "" for part in pieces) == COUNTED
    assert len((await async_client.embed("embedder", ["a", "b"])).embeddings) == 2
    steps = [step.status async for step in await async_client.create("copy", from_="chatter", system="x", stream=True)]
    assert steps[-1] == "success"
    await async_client.copy("copy", "other")
    assert {"copy:latest", "other:latest"} <= {model.model for model in (await async_client.list()).models}
    assert (await async_client.show("other")).capabilities == ["completion", "tools"]
    for name in ("copy", "other"):
        assert (await async_client.delete(name)).status == "success"
    assert (await async_client.ps()).models
