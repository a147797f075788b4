"""What a model must be capable of besides generating."""

from collections.abc import Mapping
from typing import Any

from shared.images.refs import images_of


def features_of(request: Mapping[str, Any], effort: str) -> dict[str, str]:
    """Capabilities that a chat's request needs (`tools`, `vision`, `thinking`), each with the field that asks for it.
    `effort` is the caller's name of the field of the effort to think."""
    image = next((param for param, _ in images_of(request["messages"])), None)
    needs = {
        "tools": "tools" if "tools" in request else None,
        "vision": image,
        "thinking": effort if request.get("reasoning_effort", "none") != "none" else None,
    }
    return {capability: field for capability, field in needs.items() if field is not None}
