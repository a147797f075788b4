"""A model in the making."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.catalog.encode import CONFIG_KEYS
from shared.catalog.manifest import CONFIG, MODEL, Layer, Manifest, build_manifest, encode_config
from shared.catalog.parts import Part, Requantized
from shared.errors import InvalidRequest


class Draft:
    """A model in the making: layers in their order, the texts among them, and the config."""

    def __init__(self, layers: Sequence[Layer], config: Mapping[str, Any]) -> None:
        self.layers = list(layers)
        self.config = {key: value for key, value in config.items() if key in CONFIG_KEYS}
        self.texts: dict[str, bytes] = {}
        """Content of new layers, by digest."""

    def drop(self, *media_types: str) -> None:
        self.layers = [layer for layer in self.layers if layer.media_type not in media_types]

    def add(self, media_type: str, data: bytes) -> None:
        layer = Layer.of(media_type, data)
        self.texts[layer.digest] = data
        self.layers.append(layer)

    def exchange(self, weights: Requantized) -> None:
        """Put weights in the place of those that they were made of. Raises InvalidRequest when there are others."""
        at = next((i for i, layer in enumerate(self.layers) if layer.media_type == MODEL), None)
        if at is None or self.layers[at].digest != weights.of:
            raise InvalidRequest("the base model was changed meanwhile; try again", param="from")
        self.layers[at] = weights.part.layer
        self.config["file_type"] = weights.part.header.file_type

    def put(self, part: Part) -> None:
        """A file's layer, and its architecture among the families."""
        self.layers.append(part.layer)
        families = list(self.config.get("model_families") or ())
        self.config["model_families"] = [*families, part.header.architecture]

    def manifest(self) -> Manifest:
        """With the config among the texts."""
        config = Layer.of(CONFIG, data := encode_config(self.config))
        self.texts[config.digest] = data
        return build_manifest(config, self.layers)
