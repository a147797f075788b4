"""Content in the items of a response: parts in their order."""

from typing import Any, Final

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, missing, object_at, string_at, wrong

_DETAILS: Final = ("auto", "low", "high", "original")

_TEXTS: Final = {
    "user": ("input_text",),
    "system": ("input_text",),
    "developer": ("input_text",),
    "assistant": ("output_text", "input_text"),
    "tool": ("input_text",),
}
"""Types of text, by the role; the first is what a string becomes. Some clients send an answer back as `input_text`."""

_WITH_IMAGES: Final = ("user", "tool")


def parts_of(content: Any, param: str, role: str) -> list[dict[str, Any]]:
    """Content as parts: `{"type": "input_text" | "output_text", "text"}` and `{"type": "input_image", "image_url",
    "detail"}`. `role` is a message's, or `tool` for the output of a call.

    Raises InvalidRequest or UnsupportedParameter with `param`.
    """
    if isinstance(content, str):
        return [_text(_TEXTS[role][0], content)]
    if not isinstance(content, list):
        raise wrong(param, f"expected a string or an array of parts, not {json_type(content)}")
    if not content and role != "assistant":
        raise wrong(param, "an empty array")
    return [_part(part, f"{param}[{i}]", role) for i, part in enumerate(content)]


def text_parts(value: Any, param: str, kind: str) -> list[dict[str, Any]]:
    """`[{"type": kind, "text"}]`, as the items of a reasoning have them. Raises InvalidRequest."""
    if not isinstance(value, list):
        raise wrong(param, f"expected an array, not {json_type(value)}")
    parts = []
    for i, part in enumerate(value):
        fields = object_at(part, f"{param}[{i}]", ("type", "text"))
        if fields.get("type", kind) != kind:
            raise wrong(f"{param}[{i}].type", f"expected '{kind}'")
        parts.append({"type": kind, "text": _words(fields, f"{param}[{i}]")})
    return parts


def _part(part: Any, param: str, role: str) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise wrong(param, f"expected an object, not {json_type(part)}")
    kind = part.get("type")
    if kind is None:
        raise missing(f"{param}.type")
    if kind in _TEXTS[role]:
        fields = object_at(part, param, ("type", "text", "annotations", "logprobs"))
        text = _text(kind, _words(fields, param))
        # What an answer of ours had beside its text is kept with it, and means nothing to the model.
        return {**text, **{name: fields[name] for name in ("annotations", "logprobs") if name in fields}}
    if kind == "input_image":
        return _image(part, param, role)
    if kind == "input_file":
        raise UnsupportedParameter("file inputs are not currently supported", param=param)
    if kind in ("input_text", "output_text"):
        raise wrong(f"{param}.type", f"expected '{_TEXTS[role][0]}' in a message of the role '{role}'")
    if kind in ("refusal", "input_audio"):
        raise UnsupportedParameter(f"Unsupported content part: '{param}' is of type '{kind}'.", param=param)
    item, _, place = param.rpartition(".")
    raise InvalidRequest(f"{item}: {place}: unknown content type: {str(kind)[:64]}", param=f"{param}.type")


def _image(part: Any, param: str, role: str) -> dict[str, Any]:
    if role not in _WITH_IMAGES:
        raise InvalidRequest(f"'{param}': images belong in messages of the role 'user'", param=param)
    fields = object_at(part, param, ("type", "image_url", "file_id", "detail"))
    if "file_id" in fields:
        raise UnsupportedParameter(f"Unsupported parameter: '{param}.file_id'.", param=f"{param}.file_id")
    detail = fields.get("detail", "auto")
    if detail not in _DETAILS:
        raise wrong(f"{param}.detail", f"expected one of {', '.join(_DETAILS)}")
    url = string_at(fields.get("image_url"), f"{param}.image_url")
    return {"type": "input_image", "image_url": url, "detail": detail}


def _words(fields: dict[str, Any], param: str) -> str:
    text = fields.get("text")
    if not isinstance(text, str):
        raise missing(f"{param}.text") if text is None else wrong(f"{param}.text", "expected a string")
    return text


def _text(kind: str, text: str) -> dict[str, Any]:
    more: dict[str, Any] = {"annotations": []} if kind == "output_text" else {}
    return {"type": kind, "text": text, **more}
