"""`puna pull`, `puna push` and `puna create`: what takes its time, with its progress."""

import hashlib
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from infra.cli.folder import is_path, local, name_of
from infra.cli.native import Api
from infra.cli.place import CommandError
from infra.cli.progress import follow
from shared.catalog.modelfile import Instruction, Modelfile, parse
from shared.catalog.names import ModelName

MODELFILE: Final = "Modelfile"
"""What is read unless another file is named."""

_CHUNK: Final = 8 << 20


def pull(name: str, *, insecure: bool = False) -> None:
    """Bring a model here from a registry, or from a file or folder on this machine, which gives it its name."""
    if is_path(name):
        _bring(Path(name).expanduser().absolute())
        return
    with Api() as api:
        follow(api.lines("/api/pull", {"model": name, "insecure": insecure}))


def _bring(path: Path) -> None:
    """Make a model of a file, or of a folder; one of its safetensors stands for all of it."""
    if path.suffix.lower() == ".safetensors" and path.is_file():
        path = path.parent
    name = name_of(path)
    _make(name, Modelfile((Instruction("from", str(path)),)), Path.cwd())
    typer.echo(f"{path.name} is here as {name}")


def push(name: str, *, insecure: bool = False) -> None:
    """And say where the model is then."""
    with Api() as api:
        follow(api.lines("/api/push", {"model": name, "insecure": insecure}))
    typer.echo(f"\nYou can find your model at:\n\n\t{ModelName.parse(name).display}")


def create(name: str, file: str, *, quantize: str = "") -> None:
    """Make a model of a Modelfile, `-` for standard input; local files are uploaded first. Where there is no Modelfile
    and none was named, of the model in this folder."""
    if file == "-":
        modelfile, folder = parse(sys.stdin.buffer.read()), Path.cwd()
    elif file == MODELFILE and not Path(file).exists():
        modelfile, folder = _this_folder(), Path.cwd()
    else:
        path = Path(file)
        try:
            modelfile, folder = parse(path.read_bytes()), path.absolute().parent
        except OSError as error:
            raise CommandError(f"no Modelfile can be read at {file}: {error.strerror}") from None
    _make(name, modelfile, folder, quantize)


def _this_folder() -> Modelfile:
    try:
        local(".", Path.cwd())
    except CommandError as error:
        raise CommandError(f"there is no Modelfile here, and {error}") from None
    return parse(b"FROM .\n")


def _make(name: str, modelfile: Modelfile, folder: Path, quantize: str = "") -> None:
    body = {"model": name, **modelfile.request(), **({"quantize": quantize} if quantize else {})}
    with Api() as api:
        follow(_create(api, body, modelfile, folder))


def _create(api: Api, body: dict[str, Any], modelfile: Modelfile, folder: Path) -> Iterator[dict[str, Any]]:
    if modelfile.all("draft"):
        raise CommandError("DRAFT is not supported")
    files: dict[str, str] = {}
    for source in modelfile.all("from"):
        found = local(source, folder)
        if not found:
            body["from"] = source
        for name, path in found.items():
            files[name] = yield from _uploaded(api, path)
    if files:
        body["files"] = files
    for source in modelfile.all("adapter")[-1:]:
        found = local(source, folder)
        if not found:
            raise CommandError(f"ADAPTER {source}: there is no such file")
        body["adapters"] = {}
        for name, path in found.items():
            body["adapters"][name] = yield from _uploaded(api, path)
    yield from api.lines("/api/create", body)


def _uploaded(api: Api, path: Path) -> Generator[dict[str, Any], None, str]:
    """Progress of an upload; returns the digest."""
    digest = ""
    total = path.stat().st_size
    for done, found in _hashed(path):
        digest = found
        yield {"status": f"hashing {path.name}", "digest": f"hash {path}", "total": total, "completed": done}
    if not api.has_blob(digest):
        status = f"copying {digest[7:19]}"
        for sent in api.upload(digest, path):
            yield {"status": status, "digest": digest, "total": total, "completed": sent}
    return digest


def _hashed(path: Path) -> Iterator[tuple[int, str]]:
    """(bytes so far, the digest once all are read)."""
    found, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
            done += len(piece)
            yield done, ""
    yield done, f"sha256:{found.hexdigest()}"
