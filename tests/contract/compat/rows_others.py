"""`POST /v1/completions`, `POST /v1/embeddings` and `GET /v1/models`."""

import base64
import json
import math
from typing import Any, Final

from tests.contract.compat.probe import (
    EMBED_PATH,
    IGNORED,
    MODELS_PATH,
    NO,
    TEXT_PATH,
    YES,
    Answer,
    Ask,
    Sent,
    Table,
    changes,
    decides,
    quiet,
    row,
    shows,
)
from tests.contract.compat.rows_chat import SHAPED

FRANCE: Final = "The capital of France is"
CATS: Final[dict[str, Any]] = {"prompt": "cat cat cat cat cat cat cat cat", "max_tokens": 20}


def _tokens(count: int) -> Any:
    return lambda answer, _: (answer.tokens, answer.finish) == (count, "length")


def _choices(count: int) -> Any:
    return lambda answer, _: len(answer.body["choices"]) == count


def _two_seeds(answer: Answer, ask: Ask) -> bool:
    loose = {"temperature": 1.5, "max_tokens": 12}
    return answer.text == ask(**loose, seed=7).text != ask(**loose, seed=8).text


def _bias(answer: Answer, _: Ask) -> bool:
    return len(set(answer.choice["logprobs"]["tokens"])) == 1


COMPLETIONS: Final = Table(
    "Request",
    TEXT_PATH,
    (
        row("model", YES, YES, shows("echoed as it was asked for", lambda a, _: a.body["model"] == "smollm2:135m")),
        row(
            "prompt",
            YES,
            "a string, wrapped in the chat template",
            shows("goes on from it", lambda a, _: a.text.startswith(" Paris"), "a string"),
            shows("one choice each", _choices(2), "strings", prompt=[FRANCE, "One, two,"]),
            shows("read as they are", lambda a, _: a.prompt_tokens == 3, "tokens", prompt=[504, 3575, 282]),
            shows("one choice each", _choices(2), "token arrays", prompt=[[504, 3575], [28120]]),
        ),
        row("suffix", YES, YES, quiet("a model that cannot fill in", suffix="end")),
        row(
            "max_tokens",
            "16 by default",
            "no limit by default",
            shows("ends after so many tokens, `length`", _tokens(3), max_tokens=3),
            shows("16", _tokens(16), "absent", max_tokens=..., prompt="Once upon a time"),
        ),
        row(
            "temperature",
            YES,
            "yes; absent is 1.0",
            shows(
                "another text at 2",
                lambda a, ask: a.text != ask(prompt="Once upon a time", max_tokens=16).text,
                prompt="Once upon a time",
                max_tokens=16,
                temperature=2,
                seed=3,
            ),
        ),
        row(
            "top_p",
            YES,
            "yes; absent or 0 is 1.0",
            decides("at 0 the likeliest token, whatever the temperature", top_p=0),
        ),
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
            shows("a token at 100 is the only one", _bias, logit_bias={"28120": 100}, logprobs=0),
        ),
        row(
            "stop",
            "up to 4",
            YES,
            shows("the text ends before it, `stop`", lambda a, _: "r" not in a.text and a.finish == "stop", stop=["r"]),
        ),
        row(
            "seed",
            YES,
            YES,
            shows("the same text for the same seed", _two_seeds, temperature=1.5, max_tokens=12, seed=7),
        ),
        row("n", YES, IGNORED, shows("so many choices", _choices(2), n=2)),
        row(
            "best_of",
            YES,
            IGNORED,
            shows("the tokens of all are counted", lambda a, _: a.tokens > 6, best_of=3, temperature=1, seed=1),
        ),
        row("echo", YES, IGNORED, shows("the prompt in front", lambda a, _: a.text.startswith(FRANCE), echo=True)),
        row(
            "logprobs",
            "0–5",
            "accepted, never returned",
            shows("the four lists", lambda a, _: len(a.choice["logprobs"]["top_logprobs"]) == 6, logprobs=2),
        ),
        row(
            "stream",
            YES,
            YES,
            shows("chunks, the text of the whole answer", lambda a, ask: a.text == ask().text, stream=True),
        ),
        row(
            "stream_options.include_usage",
            YES,
            "yes; zeros in every chunk",
            shows(
                "a last chunk with the usage",
                lambda a, _: a.chunks[-1]["usage"]["completion_tokens"] == 6,
                stream=True,
                stream_options={"include_usage": True},
            ),
        ),
        row("user", YES, IGNORED, quiet(user="me")),
        row(
            "response_format",
            NO,
            "its documentation says yes",
            shows(
                "fits the schema",
                lambda a, _: set(json.loads(a.text)) == {"name", "age"},
                response_format=SHAPED,
                max_tokens=60,
            ),
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
        ),
        row(
            "keep_alive",
            NO,
            "ignored on `/v1`",
            shows("the model stays as long", lambda a, _: a.tokens > 0, '`"5m"`', keep_alive="5m"),
            shows("it is unloaded after the answer", lambda a, _: a.tokens > 0, "`0`", keep_alive=0),
        ),
        row("any other field", "400 `unknown_parameter`", IGNORED, quiet(frobnicate=1)),
    ),
)

PLAIN, LIKELY = Sent(), Sent({"logprobs": 1})
LISTS: Final = "choices[].logprobs"

COMPLETION: Final = Table(
    "Answer",
    TEXT_PATH,
    (
        row("id", YES, "yes, out of 999", PLAIN),
        row("object", YES, YES, PLAIN),
        row("created", YES, YES, PLAIN),
        row("model", YES, YES, PLAIN),
        row("system_fingerprint", YES, "always `fp_ollama`", PLAIN),
        row("choices[].index", YES, YES, PLAIN),
        row("choices[].text", YES, YES, PLAIN),
        row("choices[].finish_reason", YES, YES, PLAIN),
        row(f"{LISTS}.tokens", YES, NO, LIKELY),
        row(f"{LISTS}.token_logprobs", YES, NO, LIKELY),
        row(f"{LISTS}.top_logprobs", YES, NO, LIKELY),
        row(f"{LISTS}.text_offset", YES, NO, LIKELY),
        row("usage.prompt_tokens", YES, YES, PLAIN),
        row("usage.completion_tokens", YES, YES, PLAIN),
        row("usage.total_tokens", YES, YES, PLAIN),
        row("usage.prompt_tokens_details.cached_tokens", YES, NO, PLAIN),
        row("usage.completion_tokens_details", YES, NO, PLAIN),
    ),
)


def _vectors(count: int) -> Any:
    return lambda answer, _: [len(vector) for vector in answer.vectors] == [384] * count


def _bytes_of(answer: Answer, _: Ask) -> bool:
    return len(base64.b64decode(answer.vectors[0])) == 4 * 384


def _short(answer: Answer, _: Ask) -> bool:
    (vector,) = answer.vectors
    return len(vector) == 64 and math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)


LONG: Final = "word " * 300

EMBEDDINGS: Final = Table(
    "Request",
    EMBED_PATH,
    (
        row(
            "model", YES, YES, shows("echoed as it was asked for", lambda a, _: a.body["model"] == "all-minilm:latest")
        ),
        row(
            "input",
            YES,
            "strings only; too long a one is cut in silence",
            shows("a vector", _vectors(1), "a string"),
            shows("a vector each", _vectors(2), "strings", input=["a", "b"]),
            shows("a vector", _vectors(1), "tokens", input=[101, 7592, 102]),
            shows("a vector each", _vectors(2), "token arrays", input=[[101, 102], [101, 7592, 102]]),
            quiet("too long", input=LONG),
        ),
        row(
            "encoding_format",
            YES,
            YES,
            shows("numbers", _vectors(1), "`float`", encoding_format="float"),
            shows("little-endian float32", _bytes_of, "`base64`", encoding_format="base64"),
        ),
        row(
            "dimensions",
            YES,
            "yes; too many are ignored",
            shows("the first ones, at length 1", _short, "64", dimensions=64),
            quiet("385 of 384", dimensions=385),
        ),
        row("user", YES, IGNORED, quiet(user="me")),
        row(
            "truncate",
            NO,
            "ignored on `/v1`",
            shows("the first 256 tokens", lambda a, _: a.prompt_tokens == 256, input=LONG, truncate=True),
        ),
        row("any other field", "400 `unknown_parameter`", IGNORED, quiet(frobnicate=1)),
    ),
)

VECTORS: Final = Table(
    "Answer",
    EMBED_PATH,
    tuple(
        row(name, YES, YES, PLAIN)
        for name in (
            *("object", "model", "data[].object", "data[].index", "data[].embedding"),
            *("usage.prompt_tokens", "usage.total_tokens"),
        )
    ),
)

MODELS: Final = Table(
    "List",
    MODELS_PATH,
    (
        row("object", YES, YES, PLAIN),
        row("data", YES, "`null` when there is none", PLAIN),
        row("data[].id", YES, YES, PLAIN),
        row("data[].object", YES, YES, PLAIN),
        row("data[].created", YES, YES, PLAIN),
        row("data[].owned_by", YES, YES, PLAIN),
        row("data[].shutdown_date", YES, NO, PLAIN),
    ),
)

MODEL: Final = Table(
    "One model",
    f"{MODELS_PATH}/smollm2:135m",
    tuple(
        row(name, YES, NO if name == "shutdown_date" else YES, PLAIN)
        for name in ("id", "object", "created", "owned_by", "shutdown_date")
    ),
)
