"""What a model can do, in Ollama's words, from its manifest."""

from collections.abc import Mapping
from typing import Any

from shared.catalog.manifest import PROJECTOR, Manifest

_EMBEDDERS = {"bert", "nomic-bert", "jina-bert-v2", "xlm-roberta", "gemma-embedding"}
"""GGUF architectures that only embed."""


def capabilities(manifest: Manifest, config: Mapping[str, Any], template: str) -> frozenset[str]:
    """`completion` or `embedding`, and `tools`, `vision`, `thinking`, `insert`. A config that says so is believed."""
    told = config.get("capabilities")
    if isinstance(told, list):
        return frozenset(str(each) for each in told)
    if config.get("model_family") in _EMBEDDERS:
        return frozenset({"embedding"})
    found = {"completion"}
    if manifest.layer(PROJECTOR):
        found.add("vision")
    if "tools" in template or ".Tools" in template:
        found.add("tools")
    if "<think>" in template:
        found.add("thinking")
    if ".Suffix" in template:
        found.add("insert")
    return frozenset(found)


def is_jinja(template: str) -> bool:
    """Whether the engine can use a template: Jinja, not Go's template language."""
    return "{%" in template
