"""A sentence-transformers BERT of an archive as a GGUF file. The same input gives the same bytes."""

import zipfile
from pathlib import Path

from worker.convert.folder import File, Folder
from worker.convert.model import laid_out
from worker.convert.write import content


def convert(archive: zipfile.ZipFile, folder: str, target: Path, *, name: str) -> None:
    """Write the model in a folder of an archive (`model.safetensors`, `config.json`, `vocab.txt`, …) to a GGUF file.

    Raises InvalidRequest when it is no model that can be converted.
    """
    found = [each for each in archive.namelist() if each.startswith(f"{folder}/") and not each.endswith("/")]
    files = Folder({each.removeprefix(f"{folder}/"): File.of(archive.read(each)) for each in found})
    model = laid_out(files, name=name)
    with target.open("wb") as file:
        for piece in content(model):
            file.write(piece)
