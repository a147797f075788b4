"""What a conversion makes of files, read by gguf-py: the reader that llama.cpp's own tools use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from worker.convert.folder import File, Folder
from worker.convert.model import Model, laid_out
from worker.convert.write import content


class Made:
    """A file's facts by key, and its tensors: types by name, and values as float32."""

    def __init__(self, path: Path, model: Model) -> None:
        path.write_bytes(b"".join(content(model)))
        reader = gguf.GGUFReader(path)
        self.facts: dict[str, Any] = {name: field.contents() for name, field in reader.fields.items()}
        self.types = {each.name: each.tensor_type.name for each in reader.tensors}
        self.values: dict[str, NDArray[np.float32]] = {
            each.name: gguf.dequantize(each.data, each.tensor_type).reshape([int(n) for n in each.shape[::-1]])
            for each in reader.tensors
        }


def converted(path: Path, files: Mapping[str, bytes], quantize: str = "") -> Made:
    return Made(path / "made.gguf", laid_out(folder(files), quantize))


def folder(files: Mapping[str, bytes]) -> Folder:
    return Folder({name: File.of(data) for name, data in files.items()})
