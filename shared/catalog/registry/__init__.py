"""Models from and to registries that speak OCI's distribution protocol, as Ollama's and Hugging Face's do.

Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from shared.catalog.registry.events import Progress
from shared.catalog.registry.options import Options
from shared.catalog.registry.pull import pull
from shared.catalog.registry.push import push

__all__ = ["Options", "Progress", "pull", "push"]
