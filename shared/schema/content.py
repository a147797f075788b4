"""The content of a message: text, or parts in their order."""

from typing import Any, TypeAlias

from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import json_type, missing, object_at, string_at, unknown, wrong

Content: TypeAlias = str | list[dict[str, Any]]
"""Text alone is a string. With an image, a list of `{"type": "text", "text"}` and
`{"type": "image_url", "image_url": {"url"}}`."""

_DETAILS = ("auto", "low", "high")

_NOT_BUILT = ("input_audio", "file", "refusal")


def content_of(content: Any, param: str, role: str) -> Content:
    """Texts alone are joined by line breaks. Raises InvalidRequest or UnsupportedParameter."""
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content:
        parts = [_part(part, f"{param}[{i}]", role) for i, part in enumerate(content)]
        if all(part["type"] == "text" for part in parts):
            return "\n".join([part["text"] for part in parts])
        return parts
    raise InvalidRequest(
        f"invalid message content type: '{param}' is {'an empty array' if content == [] else json_type(content)}; "
        "a string or an array of parts is expected",
        param=param,
    )


def _part(part: Any, param: str, role: str) -> dict[str, Any]:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise InvalidRequest(f"invalid message format: '{param}' has no 'type'", param=param)
    kind = part["type"]
    if kind in _NOT_BUILT:
        raise UnsupportedParameter(f"Unsupported content part: '{param}' is of type '{kind}'.", param=param)
    if kind not in ("text", "image_url"):
        raise InvalidRequest(f"invalid message format: unknown type '{kind}' of '{param}'", param=param)
    for name, value in part.items():
        if name == "prompt_cache_breakpoint" and value is not None:
            raise UnsupportedParameter(f"Unsupported parameter: '{param}.{name}'.", param=f"{param}.{name}")
        if name not in ("type", kind) and value is not None:
            raise unknown(f"{param}.{name}")
    if kind == "image_url":
        if role != "user":
            raise InvalidRequest(f"'{param}': images belong in messages of the role 'user'", param=param)
        return {"type": "image_url", "image_url": {"url": _url(part.get("image_url"), f"{param}.image_url")}}
    if not isinstance(part.get("text"), str):
        raise InvalidRequest(f"invalid message format: '{param}.text' must be a string", param=f"{param}.text")
    return {"type": "text", "text": part["text"]}


def _url(image: Any, param: str) -> str:
    """An object, or the bare string that Ollama takes. The engine scales an image to what its projector takes,
    whatever `detail` says."""
    if image is None:
        raise missing(param)
    if isinstance(image, str):
        return string_at(image, param)
    fields = object_at(image, param, ("url", "detail"))
    detail = fields.get("detail", "auto")
    if detail not in _DETAILS:
        raise wrong(f"{param}.detail", f"expected one of {', '.join(_DETAILS)}")
    return string_at(fields.get("url"), f"{param}.url")
