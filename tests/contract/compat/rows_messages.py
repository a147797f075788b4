"""`POST /v1/chat/completions`: the fields of a message."""

from typing import Any, Final

from tests.contract.compat.probe import (
    CHAT_PATH,
    IGNORED,
    NO,
    PICTURES,
    THINKER,
    YES,
    Probe,
    Seen,
    Table,
    quiet,
    row,
    shows,
)
from tests.pictures import data_url, picture

USER: Final = {"role": "user", "content": "Name a colour."}
CALL: Final = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"city": "Paris"}'}}
CUSTOM_CALL: Final = {"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "x"}}
AUDIO: Final = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
FILE: Final = {"type": "file", "file": {"file_id": "file-1"}}
RED: Final = data_url(picture("red"))


def says(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


def text_of(name: str, value: Any) -> dict[str, Any]:
    """An assistant's message with a further field, and the user's next one."""
    return says(USER, {"role": "assistant", "content": "Red.", name: value}, USER)


def longer_than(*messages: dict[str, Any]) -> Seen:
    return lambda answer, ask: answer.prompt_tokens > ask(messages=list(messages)).prompt_tokens


def picture_of(url: Any, **more: Any) -> dict[str, Any]:
    question = {"type": "text", "text": "What color is this picture?"}
    image = {"type": "image_url", "image_url": url, **more}
    return says({"role": "user", "content": [question, image]}, max_tokens=12)


def sees(value: str, url: Any) -> Probe:
    return shows("the model names its colour", lambda a, _: "red" in a.text.lower(), value, **picture_of(url))


def part(value: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return says({"role": role, "content": [value]})


MESSAGES: Final = Table(
    "Messages",
    CHAT_PATH,
    (
        row(
            "role",
            "`developer`, `system`, `user`, `assistant`, `tool`; `function` is deprecated",
            "any, in lower case",
            *(
                shows(
                    "the model reads it",
                    longer_than({"role": role, "content": "Be"}, USER),
                    f"`{role}`",
                    **says({"role": role, "content": "Be brief, and name one colour only."}, USER),
                )
                for role in ("system", "developer", "user", "assistant")
            ),
            shows(
                "the model reads it",
                longer_than(USER),
                "`tool`",
                **says(
                    USER,
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
                ),
            ),
            quiet("`function`", **says({"role": "function", "name": "f", "content": "x"})),
            quiet("another", **says({"role": "robot", "content": "x"})),
        ),
        row("content, a text", YES, YES, shows("an answer", lambda a, _: bool(a.text), **says(USER))),
        row(
            "content, `text` parts",
            YES,
            "each part becomes a message",
            shows(
                "the same answer as their text alone",
                lambda a, ask: a.text == ask().text,
                **part({"type": "text", "text": "Name a colour."}),
            ),
        ),
        row(
            "content, `image_url` parts",
            "data URLs and web URLs",
            "data URLs only",
            sees("a data URL", {"url": RED}),
            sees("a web URL", {"url": f"{PICTURES}/red"}),
            sees("a bare string", RED),
            quiet("no image", **picture_of({"url": "data:image/png;base64,AAAA"})),
        ),
        row(
            "content[].image_url.detail",
            YES,
            IGNORED,
            quiet("`low`", **picture_of({"url": RED, "detail": "low"})),
        ),
        row("content, `input_audio` parts", YES, "yes, not documented", quiet(**part(AUDIO))),
        row("content, `file` parts", YES, "400", quiet(**part(FILE))),
        row(
            "content, `refusal` parts",
            "of an assistant",
            "400",
            quiet(**part({"type": "refusal", "refusal": "no"}, "assistant")),
        ),
        row(
            "content[].prompt_cache_breakpoint",
            YES,
            IGNORED,
            quiet(**part({"type": "text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}})),
        ),
        row("name", YES, "of a tool only", quiet(**says({**USER, "name": "Ann"}))),
        row(
            "tool_calls",
            YES,
            YES,
            shows(
                "the model reads it",
                longer_than(USER, {"role": "assistant", "content": "Red."}, USER),
                "`function`",
                **text_of("tool_calls", [CALL]),
            ),
            quiet("`custom`", **text_of("tool_calls", [CUSTOM_CALL])),
        ),
        row(
            "tool_call_id",
            YES,
            YES,
            quiet("of an unknown call", **says({"role": "tool", "tool_call_id": "call_9", "content": "x"}, USER)),
            quiet("absent", **says({"role": "tool", "content": "x"}, USER)),
        ),
        row("refusal", YES, IGNORED, quiet(**text_of("refusal", "No."))),
        row("audio", YES, IGNORED, quiet(**text_of("audio", {"id": "audio_1"}))),
        row(
            "function_call",
            "yes, deprecated",
            IGNORED,
            quiet(**text_of("function_call", {"name": "f", "arguments": "{}"})),
        ),
        row(
            "reasoning",
            NO,
            YES,
            *(
                shows(
                    "the model reads it",
                    longer_than(USER, {"role": "assistant", "content": "Red."}, USER),
                    f"`{name}`",
                    **text_of(name, "A colour, then."),
                    model=THINKER,
                )
                for name in ("reasoning", "reasoning_content")
            ),
        ),
        row(
            "an assistant's message at the end",
            "starts a new one",
            "goes on from it",
            shows(
                "the answer goes on from it",
                lambda a, _: a.text.lstrip(" ,").startswith("5"),
                **says({"role": "user", "content": "Count."}, {"role": "assistant", "content": "1, 2, 3, 4,"}),
            ),
        ),
    ),
)
