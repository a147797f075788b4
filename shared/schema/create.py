"""`POST /api/create`: what a model is to be made of (Ollama's API, "Create a Model")."""

import re
from collections.abc import Mapping
from typing import Any, Final

from shared.catalog.gguf_types import QUANTIZATIONS
from shared.catalog.manifest import DIGEST
from shared.catalog.modelfile import ROLES, version_of
from shared.catalog.parameters import check_parameters
from shared.errors import InvalidRequest, UnsupportedParameter
from shared.schema.body import AsksNothing, Body, json_type, nothing, object_at, string_at, validate, wrong

_ALIASES: Final = {"name": "model", "quantization": "quantize", "from": "source"}

_NOT_BUILT: Final[Mapping[str, AsksNothing]] = {
    "draft_files": nothing({}),
    "draft_quantize": nothing(""),
    "info": nothing({}),
    "remote_host": nothing(""),
}

_GO_OPEN: Final = re.compile(r"\{\{(?!.*?\}\})", re.DOTALL)
_JINJA_OPEN: Final = re.compile(r"\{%(?!.*?%\})", re.DOTALL)


class CreateRequest(Body):
    """What a caller may send. `source` is the body's `from`. Digests are `sha256:…`, by relative file names."""

    model: str
    source: str = ""
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str = ""
    system: str = ""
    license: Any = None
    parameters: dict[str, Any] | None = None
    messages: list[Any] | None = None
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    quantize: str = ""
    stream: bool = True

    @property
    def licenses(self) -> list[str]:
        return [self.license] if isinstance(self.license, str) else [each for each in self.license or () if each]

    @property
    def said(self) -> list[tuple[str, str]]:
        """The messages as (role, content)."""
        return [(each["role"], each["content"]) for each in self.messages or ()]


def parse(body: Mapping[str, Any]) -> CreateRequest:
    """A checked request; its names and digests are well-formed. Raises InvalidRequest or UnsupportedParameter."""
    if not body:
        raise InvalidRequest("missing request body")
    if "source" in body:
        raise InvalidRequest("Unknown parameter: 'source'.", param="source", code="unknown_parameter")
    asked = validate(CreateRequest, _renamed(body), _NOT_BUILT)
    quantize = asked.quantize.upper()
    if quantize and quantize not in QUANTIZATIONS:
        raise UnsupportedParameter(
            f"unsupported quantization type {quantize} - supported types are {', '.join(QUANTIZATIONS)}",
            param="quantize",
        )
    if not asked.source and asked.files is None:
        raise InvalidRequest("neither 'from' or 'files' was specified", param="from")
    if not asked.source and not asked.files:
        raise InvalidRequest("no files provided to convert", param="files")
    _check_files(asked.files or {}, "files")
    _check_files(asked.adapters or {}, "adapters")
    if len(asked.adapters or {}) > 1:
        raise InvalidRequest("only one adapter is currently supported", param="adapters")
    _check_texts(asked)
    _check_messages(asked.messages or [])
    parameters = check_parameters(asked.parameters or {})
    requires = version_of(asked.requires) if asked.requires else ""
    return asked.model_copy(update={"parameters": parameters, "requires": requires, "quantize": quantize})


def _renamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Under one name each, `from` as `source`; of two names for one thing the newer one counts when it is set."""
    renamed = {name: value for name, value in body.items() if name not in _ALIASES}
    for old, new in _ALIASES.items():
        if old in body and not renamed.get(new):
            renamed[new] = body[old]
    return renamed


def _check_files(files: Mapping[str, str], param: str) -> None:
    for name, digest in files.items():
        if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
            raise InvalidRequest("file path must be relative", param=param)
        if not DIGEST.fullmatch(digest):
            raise InvalidRequest("invalid digest format", param=param)


def _check_texts(asked: CreateRequest) -> None:
    listed = [asked.license] if isinstance(asked.license, str) else asked.license or []
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise wrong("license", "expected a string or an array of strings")
    if "{%" in asked.template:
        if _JINJA_OPEN.search(asked.template):
            raise InvalidRequest("template error: unclosed '{%'", param="template")
    elif _GO_OPEN.search(asked.template):
        raise InvalidRequest("template error: unclosed action", param="template")


def _check_messages(messages: list[Any]) -> None:
    for i, message in enumerate(messages):
        fields = object_at(message, f"messages[{i}]", ("role", "content"))
        if string_at(fields.get("role"), f"messages[{i}].role") not in ROLES:
            raise InvalidRequest(
                'message role must be one of "system", "user", or "assistant"', param=f"messages[{i}].role"
            )
        if not isinstance(fields.get("content"), str):
            raise wrong(f"messages[{i}].content", f"expected a string, not {json_type(fields.get('content'))}")
