"""`POST /v1/chat/completions`: the request's fields."""

import json
from typing import Any, Final

from tests.contract.compat.probe import (
    CHAT_PATH,
    IGNORED,
    NO,
    THINKER,
    YES,
    Answer,
    Ask,
    Table,
    changes,
    decides,
    quiet,
    row,
    shows,
)

CITY: Final = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Final = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
CLOCK: Final = {"type": "function", "function": {"name": "get_time", "parameters": CITY}}
CUSTOM: Final = {"type": "custom", "custom": {"name": "shell"}}
NAMED: Final = {"type": "function", "function": {"name": "get_time"}}
ALLOWED: Final = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}
FORCED: Final[dict[str, Any]] = {
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "tools": [WEATHER, CLOCK],
    "tool_choice": "required",
    "max_tokens": 80,
}
PERSON: Final = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SHAPED: Final = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": PERSON}}
CATS: Final[dict[str, Any]] = {
    "messages": [{"role": "user", "content": "Repeat after me: cat cat cat cat cat cat cat cat"}],
    "max_tokens": 30,
}
THINKING: Final[dict[str, Any]] = {"model": THINKER, "max_tokens": 12}


def named(*names: str) -> Any:
    """Calls, all of these functions, with arguments that are a city."""

    def seen(answer: Answer, _: Ask) -> bool:
        calls = [call["function"] for call in answer.calls]
        return bool(calls) and all(
            call["name"] in names and set(json.loads(call["arguments"])) == {"city"} for call in calls
        )

    return seen


def _is_person(answer: Answer, _: Ask) -> bool:
    person = json.loads(answer.text)
    return set(person) == {"name", "age"} and isinstance(person["age"], int)


def _entries(answer: Answer) -> list[dict[str, Any]]:
    return list(answer.choice["logprobs"]["content"])


def _thinks(answer: Answer, _: Ask) -> bool:
    return bool(answer.choice["message"].get("reasoning"))


def _as_without(answer: Answer, ask: Ask) -> bool:
    return answer.text == ask().text


def _two_seeds(answer: Answer, ask: Ask) -> bool:
    loose = {"temperature": 1.5, "max_tokens": 12}
    return answer.text == ask(**loose, seed=7).text != ask(**loose, seed=8).text


def _tokens(count: int) -> Any:
    return lambda answer, _: (answer.tokens, answer.finish) == (count, "length")


REQUEST: Final = Table(
    "Request",
    CHAT_PATH,
    (
        row("model", YES, YES, shows("echoed as it was asked for", lambda a, _: a.body["model"] == "smollm2:135m")),
        row("messages", YES, YES, shows("an answer", lambda a, _: bool(a.text))),
        row(
            "stream",
            YES,
            YES,
            shows("chunks, the text of the whole answer", lambda a, ask: a.text == ask().text, stream=True),
        ),
        row(
            "stream_options.include_usage",
            YES,
            YES,
            shows(
                "a last chunk with the usage",
                lambda a, _: a.chunks[-1]["usage"]["completion_tokens"] == 6 and a.chunks[-1]["choices"] == [],
                stream=True,
                stream_options={"include_usage": True},
            ),
        ),
        row(
            "stream_options.include_obfuscation",
            "yes, on by default",
            IGNORED,
            quiet("`true`", stream=True, stream_options={"include_obfuscation": True}),
            quiet("`false`", stream=True, stream_options={"include_obfuscation": False}),
        ),
        row(
            "max_completion_tokens",
            YES,
            IGNORED,
            shows("ends after so many tokens, `length`", _tokens(3), max_tokens=..., max_completion_tokens=3),
        ),
        row(
            "max_tokens",
            "yes, deprecated",
            YES,
            shows("ends after so many tokens, `length`", _tokens(3), max_tokens=3),
        ),
        row(
            "temperature", YES, "yes; absent is 1.0", changes("another text at 2", "temperature", temperature=2, seed=3)
        ),
        row("top_p", YES, "yes; absent is 1.0", decides("at 0 the likeliest token, whatever the temperature", top_p=0)),
        row(
            "frequency_penalty",
            YES,
            YES,
            changes("another text where words repeat", "frequency_penalty", **CATS, frequency_penalty=2),
        ),
        row(
            "presence_penalty",
            YES,
            YES,
            changes("another text where words repeat", "presence_penalty", **CATS, presence_penalty=2),
        ),
        row(
            "logit_bias",
            YES,
            IGNORED,
            shows(
                "a token at 100 is the only one",
                lambda a, _: len({entry["token"] for entry in _entries(a)}) == 1,
                logit_bias={"28120": 100},
                logprobs=True,
            ),
        ),
        row(
            "stop",
            "up to 4",
            "yes; what is no string is dropped",
            shows("the text ends before it, `stop`", lambda a, _: "o" not in a.text and a.finish == "stop", stop=["o"]),
        ),
        row(
            "seed",
            "yes, deprecated",
            YES,
            shows("the same text for the same seed", _two_seeds, temperature=1.5, max_tokens=12, seed=7),
        ),
        row("n", YES, IGNORED, shows("so many choices", lambda a, _: len(a.body["choices"]) == 2, n=2)),
        row(
            "logprobs",
            YES,
            "yes (its documentation says no)",
            shows("an entry per token", lambda a, _: len(_entries(a)) == 6, logprobs=True),
        ),
        row(
            "top_logprobs",
            "0–20",
            "yes (its documentation says no)",
            shows(
                "so many alternatives",
                lambda a, _: all(len(entry["top_logprobs"]) == 3 for entry in _entries(a)),
                logprobs=True,
                top_logprobs=3,
            ),
        ),
        row(
            "response_format",
            YES,
            "yes; `strict` and `name` ignored",
            quiet("`text`", response_format={"type": "text"}),
            shows(
                "an object",
                lambda a, _: isinstance(json.loads(a.text), dict),
                "`json_object`",
                response_format={"type": "json_object"},
                messages=[{"role": "user", "content": 'Reply with {"colour": "red"}'}],
                max_tokens=200,
            ),
            shows("fits the schema", _is_person, "`json_schema`", response_format=SHAPED, max_tokens=60),
        ),
        row(
            "tools",
            YES,
            "yes; most of a schema is dropped",
            shows("a call that fits its schema", named("get_weather", "get_time"), "`function`", **FORCED),
            quiet("`custom`", **{**FORCED, "tools": [CUSTOM]}),
        ),
        row(
            "tool_choice",
            YES,
            IGNORED,
            shows("no call", lambda a, _: not a.calls, "`none`", **{**FORCED, "tool_choice": "none"}),
            shows("text or calls", lambda a, _: bool(a.text or a.calls), "`auto`", **{**FORCED, "tool_choice": "auto"}),
            shows("a call", named("get_weather", "get_time"), "`required`", **FORCED),
            shows("that function", named("get_time"), "a named function", **{**FORCED, "tool_choice": NAMED}),
            shows("one of them", named("get_time"), "`allowed_tools`", **{**FORCED, "tool_choice": ALLOWED}),
        ),
        row(
            "parallel_tool_calls",
            YES,
            IGNORED,
            shows("one call", lambda a, _: len(a.calls) == 1, "`false`", **FORCED, parallel_tool_calls=False),
            shows(
                "up to 8 calls",
                lambda a, _: 1 <= len(a.calls) <= 8,
                "`true`",
                **{**FORCED, "max_tokens": 300},
                parallel_tool_calls=True,
            ),
        ),
        row(
            "reasoning_effort",
            YES,
            YES,
            shows("thoughts", _thinks, "`low`, a model that thinks", **THINKING, reasoning_effort="low"),
            shows("none", lambda a, ask: not _thinks(a, ask), "`none`", **THINKING, reasoning_effort="none"),
            quiet("`low`, another model", reasoning_effort="low"),
        ),
        row("user", "yes, deprecated", IGNORED, quiet(user="me")),
        row("metadata", "labels of a stored answer", IGNORED, quiet(metadata={"a": "b"})),
        row("safety_identifier", YES, IGNORED, quiet(safety_identifier="hash")),
        row("prompt_cache_key", YES, IGNORED, quiet(prompt_cache_key="key")),
        row("prompt_cache_retention", "yes, deprecated", IGNORED, quiet(prompt_cache_retention="24h")),
        row("prompt_cache_options", YES, IGNORED, quiet(prompt_cache_options={"ttl": "24h"})),
        row("store", YES, IGNORED, quiet("`true`", store=True), quiet("`false`", store=False)),
        row(
            "service_tier",
            YES,
            IGNORED,
            quiet("`flex`", service_tier="flex"),
            quiet("`auto`, `default`", service_tier="auto"),
        ),
        row(
            "modalities",
            YES,
            IGNORED,
            quiet('`["audio"]`', modalities=["audio"]),
            quiet('`["text"]`', modalities=["text"]),
        ),
        row("audio", YES, IGNORED, quiet(audio={"voice": "alloy", "format": "mp3"})),
        row("prediction", YES, IGNORED, quiet(prediction={"type": "content", "content": "red"})),
        row("verbosity", YES, IGNORED, quiet("`low`", verbosity="low"), quiet("`medium`", verbosity="medium")),
        row("web_search_options", YES, IGNORED, quiet(web_search_options={})),
        row("moderation", YES, IGNORED, quiet(moderation={"model": "omni-moderation-latest"})),
        row("functions", "yes, deprecated", IGNORED, quiet(functions=[{"name": "f"}])),
        row("function_call", "yes, deprecated", IGNORED, quiet("`auto`", function_call="auto")),
        row(
            "reasoning.effort",
            NO,
            "yes, before `reasoning_effort`",
            shows("thoughts", _thinks, **THINKING, reasoning={"effort": "low"}, reasoning_effort="none"),
        ),
        row("top_k", NO, IGNORED, decides("at 1 the likeliest token, whatever the temperature", top_k=1)),
        row("min_p", NO, IGNORED, decides("at 1 the likeliest token, whatever the temperature", min_p=1)),
        row(
            "repeat_penalty",
            NO,
            IGNORED,
            changes("another text where words repeat", "repeat_penalty", **CATS, repeat_penalty=2),
        ),
        row(
            "options",
            NO,
            "ignored on `/v1`",
            shows("as by itself", _tokens(2), "`num_predict`", max_tokens=..., options={"num_predict": 2}),
            shows("as by itself", _as_without, "`top_k`", temperature=2, options={"top_k": 1}),
            quiet("`num_ctx` within the context", options={"num_ctx": 512}),
            quiet("`num_ctx` beyond it", options={"num_ctx": 1 << 20}),
            quiet("`num_gpu`", options={"num_gpu": 1}),
        ),
        row(
            "keep_alive",
            NO,
            "ignored on `/v1`",
            shows("the model stays as long", lambda a, _: a.tokens > 0, '`"5m"`', keep_alive="5m"),
            shows("it is unloaded after the answer", lambda a, _: a.tokens > 0, "`0`", keep_alive=0),
        ),
        row("_debug_render_only", NO, "the prompt, and no answer", quiet(_debug_render_only=True)),
        row("any other field", "400 `unknown_parameter`", IGNORED, quiet(frobnicate=1)),
    ),
)
