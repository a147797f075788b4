"""What a FROM or ADAPTER names on this machine: a file, or the files of a folder that make a model."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from infra.cli.place import CommandError

_WEIGHTS: Final = ("model*.safetensors", "*.gguf", "*/*.gguf")
"""What is looked for in a folder, in this order: the first kind that is there is taken."""

_BESIDE: Final = ("*.json", "*_Pooling/config.json", "chat_template.jinja", "tokenizer.model", "vocab.txt")
"""What else makes a model of safetensors."""


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
    if source.startswith((".", "/", "~")) or source.lower().endswith((".gguf", ".safetensors")):
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
