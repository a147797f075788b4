"""What a FROM, an ADAPTER or a pull names on this machine: a file, or the files of a folder that make a model."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from infra.cli.place import CommandError

_WEIGHTS: Final = ("model*.safetensors", "*.gguf", "*/*.gguf")
"""What is looked for in a folder, in this order: the first kind that is there is taken."""

_BESIDE: Final = ("*.json", "*_Pooling/config.json", "chat_template.jinja", "tokenizer.model", "vocab.txt")
"""What else makes a model of safetensors."""


_QUANTIZED: Final = re.compile(r"(.+)[-.]((?:i?q\d\w*|bf16|f16|f32))", re.IGNORECASE)
"""The stem of a file, with how its weights are kept at its end, as those who convert models spell it."""


def is_path(source: str) -> bool:
    """Whether it is meant as a path, whatever is there. A name can have none of these forms."""
    return source.startswith((".", "/", "~")) or source.lower().endswith((".gguf", ".safetensors"))


def name_of(path: Path) -> str:
    """What a model of a path is called: the file or folder in small letters, and how it is quantized as the tag."""
    stem = path.stem if path.suffix.lower() == ".gguf" else path.name
    found = _QUANTIZED.fullmatch(stem)
    model, tag = found.groups() if found else (stem, "latest")
    return f"{_spelled(model)}:{_spelled(tag)}"


def _spelled(text: str) -> str:
    """As a part of a name may be spelled."""
    return re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-.")[:80] or "model"


def local(source: str, folder: Path) -> Mapping[str, Path]:
    """The files by their names in a request, relative to the Modelfile's folder; none when it is a model's name.

    Raises CommandError for a path that leads nowhere, and for a folder without a model or with a file that lies
    outside.
    """
    path = Path(folder, Path(source).expanduser())
    if path.is_file():
        return {path.name: path}
    if path.is_dir():
        return _model(path, source)
    if is_path(source):
        raise CommandError(f"{source}: there is no such file")
    return {}


def _model(path: Path, source: str) -> dict[str, Path]:
    found = next((files for pattern in _WEIGHTS if (files := _found(path, (pattern,)))), {})
    if not found:
        raise CommandError(f"{source} holds no model: neither model*.safetensors nor a GGUF file")
    if any(name.endswith(".safetensors") for name in found):
        found |= _found(path, _BESIDE)
    if any(not each.resolve().is_relative_to(path.resolve()) for each in found.values()):
        raise CommandError(f"{source} holds a link that leads out of it")
    return found


def _found(path: Path, patterns: Iterable[str]) -> dict[str, Path]:
    files = sorted({each for pattern in patterns for each in path.glob(pattern) if each.is_file()})
    return {each.relative_to(path).as_posix(): each for each in files}
