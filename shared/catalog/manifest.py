"""Manifests and the layers they name: Docker's schema 2 with Ollama's media types.

Source: https://distribution.github.io/distribution/spec/manifest-v2-2/
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson

from shared.catalog.encode import encode_config, encode_json, encode_messages, encode_params
from shared.errors import PunaError

__all__ = [
    "InvalidManifest",
    "Layer",
    "Manifest",
    "blob_key",
    "build_manifest",
    "digest_of",
    "encode_config",
    "encode_messages",
    "encode_params",
]

MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG: Final = "application/vnd.docker.container.image.v1+json"
MODEL: Final = "application/vnd.ollama.image.model"
PROJECTOR: Final = "application/vnd.ollama.image.projector"
ADAPTER: Final = "application/vnd.ollama.image.adapter"
DRAFT: Final = "application/vnd.ollama.image.draft"
TEMPLATE: Final = "application/vnd.ollama.image.template"
PROMPT: Final = "application/vnd.ollama.image.prompt"  # the legacy spelling of TEMPLATE
SYSTEM: Final = "application/vnd.ollama.image.system"
PARAMS: Final = "application/vnd.ollama.image.params"
MESSAGES: Final = "application/vnd.ollama.image.messages"
LICENSE: Final = "application/vnd.ollama.image.license"
TENSOR: Final = "application/vnd.ollama.image.tensor"
JSON: Final = "application/vnd.ollama.image.json"
EMBED: Final = "application/vnd.ollama.image.embed"  # deprecated, ignored

DIGEST: Final = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")


class InvalidManifest(PunaError):
    """A manifest, or a layer it names, is not what it must be: the catalog is damaged, not the request."""

    default_code = "invalid_manifest"


def digest_of(data: bytes) -> str:
    """`sha256:<64 hex>` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob_key(digest: str) -> str:
    """Where the catalog keeps a blob. Raises ValueError for what is no sha256 digest."""
    found = DIGEST.fullmatch(digest)
    if found is None:
        raise ValueError("invalid digest format")
    return f"blobs/sha256-{found[1].lower()}"


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob and its meaning; `size` in bytes. `origin` (`from`) and `name` may be empty."""

    media_type: str
    digest: str
    size: int
    origin: str = ""
    name: str = ""

    @classmethod
    def of(cls, media_type: str, data: bytes) -> "Layer":
        """The layer that some bytes make."""
        return cls(media_type, digest_of(data), len(data))

    @classmethod
    def from_json(cls, value: Any) -> "Layer":
        """Raises InvalidManifest unless media type, digest and size are there and sound."""
        match value:
            case {"mediaType": str(media_type), "digest": str(digest), "size": int(size)}:
                if DIGEST.fullmatch(digest) and size >= 0:
                    return cls(media_type, digest, size, value.get("from") or "", value.get("name") or "")
        raise InvalidManifest("a layer of the manifest is malformed")

    def to_json(self) -> dict[str, Any]:
        value = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        optional = {"from": self.origin, "name": self.name}
        return value | {key: text for key, text in optional.items() if text}


@dataclass(frozen=True)
class Manifest:
    """What a model consists of. `raw` is the stored text: its sha256 is the model's digest."""

    config: Layer
    layers: tuple[Layer, ...]
    raw: bytes

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Manifest":
        """Raises InvalidManifest for what is not a schema 2 manifest."""
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise InvalidManifest("the manifest is not JSON") from None
        match value:
            case {"schemaVersion": 2, "config": config, "layers": [*layers]}:
                return cls(Layer.from_json(config), tuple(map(Layer.from_json, layers)), raw)
        raise InvalidManifest("the manifest is not of schema 2")

    @cached_property
    def digest(self) -> str:
        """64 hex digits, without a prefix, as `/api/tags` shows it."""
        return hashlib.sha256(self.raw).hexdigest()

    def layer(self, media_type: str) -> Layer | None:
        """The first layer of a media type."""
        return next((layer for layer in self.layers if layer.media_type == media_type), None)

    @property
    def model(self) -> Layer:
        """The weights. Raises InvalidManifest when there are none."""
        layer = self.layer(MODEL)
        if layer is None:
            raise InvalidManifest("the manifest names no model layer")
        return layer

    @property
    def blobs(self) -> tuple[Layer, ...]:
        """The config and all layers: everything that must be there to use the model."""
        return (self.config, *self.layers)

    @property
    def size(self) -> int:
        """Bytes of all blobs together."""
        return sum(layer.size for layer in self.blobs)


def build_manifest(config: Layer, layers: Sequence[Layer]) -> Manifest:
    """A manifest with the bytes Ollama would write for the same layers."""
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Manifest(config, tuple(layers), encode_json(value))
