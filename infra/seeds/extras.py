"""What a default model gets besides its weights: a chat template and a projector of our own.

Such layers are marked in the manifest (`from`), so that a later version renews them and leaves alone what a user made.
"""

from pathlib import Path
from typing import Final

from infra.seeds.models import Seed
from shared.catalog.change import put_blob
from shared.catalog.lease import Lease
from shared.catalog.manifest import (
    LICENSE,
    MODEL,
    PARAMS,
    PROJECTOR,
    TEMPLATE,
    Layer,
    Manifest,
    blob_key,
    digest_of,
    encode_config,
    encode_params,
)
from shared.catalog.store import Store
from worker.weights import Weights

MARK: Final = "puna-seed"

_PROJECTOR: Final = f"{MARK}:colours-1"
"""The mark of a projector. Its bytes may differ in their last bits between machines: the recipe's number counts."""


def ours(manifest: Manifest, seed: Seed) -> bool:
    """Whether a manifest is what some version of this module made of the seed, and nobody changed it since."""
    model = manifest.layer(MODEL)
    if model is None or model.digest != f"sha256:{seed.sha256}":
        return False
    params = digest_of(encode_params(seed.params)) if seed.params else ""
    return all(
        layer.media_type in (MODEL, LICENSE)
        or layer.origin.startswith(MARK)
        or (layer.media_type == PARAMS and layer.digest == params)
        for layer in manifest.layers
    )


def current(manifest: Manifest, seed: Seed) -> bool:
    """Whether a manifest of ours has everything that this version gives."""
    template, projector = manifest.layer(TEMPLATE), manifest.layer(PROJECTOR)
    return (
        manifest.config.digest == digest_of(encode_config(seed.config))
        and (template.digest if template else "") == (digest_of(seed.template.read_bytes()) if seed.template else "")
        and (projector.origin if projector else "") == (_PROJECTOR if seed.projector else "")
    )


def put(store: Store, layer: Layer, data: bytes, lease: Lease) -> None:
    """Have a layer's blob in the store, and keep it there."""
    lease.hold([layer.digest])
    put_blob(store, layer.digest, data)


def extras(store: Store, seed: Seed, model: Layer, folder: Path, lease: Lease) -> list[Layer]:
    """Put the further layers of a seed, whose weights are stored, into the store. `folder` is for passing files."""
    layers = []
    if seed.projector is not None:
        layers.append(_projector(store, seed, model, folder, lease))
    if seed.template is not None:
        data = seed.template.read_bytes()
        layer = Layer(TEMPLATE, digest_of(data), len(data), origin=MARK)
        put(store, layer, data, lease)
        layers.append(layer)
    return layers


def _projector(store: Store, seed: Seed, model: Layer, folder: Path, lease: Lease) -> Layer:
    assert seed.projector is not None
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{seed.sha256}.projector"
    try:
        seed.projector(Weights(store, folder).blob_path(model), made)
        data = made.read_bytes()
    finally:
        made.unlink(missing_ok=True)
        for suffix in ("", ".lock"):  # from a catalog that is no directory
            (folder / (blob_key(model.digest).removeprefix("blobs/") + suffix)).unlink(missing_ok=True)
    layer = Layer(PROJECTOR, digest_of(data), len(data), origin=_PROJECTOR)
    put(store, layer, data, lease)
    return layer
