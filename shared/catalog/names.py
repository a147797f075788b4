"""Model names: `[scheme://][host/][namespace/]model[:tag]`, as Ollama and its registry spell them."""

import re
from dataclasses import dataclass
from typing import Final

from shared.errors import InvalidRequest

DEFAULT_HOST: Final = "registry.ollama.ai"
DEFAULT_NAMESPACE: Final = "library"
DEFAULT_TAG: Final = "latest"

_HOST = r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"
_NAMESPACE = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAME = re.compile(
    rf"(?:(?:(?:[A-Za-z][A-Za-z0-9+.-]*://)?(?P<host>{_HOST})/)?(?P<namespace>{_NAMESPACE})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)


@dataclass(frozen=True, slots=True)
class ModelName:
    """A complete name: every part is there and keeps the case it was written in."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Read a name, filling absent parts with the defaults. The scheme is dropped.

        Raises InvalidRequest for a text outside the grammar; `@digest` references are outside it.
        """
        found = _NAME.fullmatch(text)
        if found is None:
            raise InvalidRequest("invalid model name", param="model")
        return cls(
            host=found["host"] or DEFAULT_HOST,
            namespace=found["namespace"] or DEFAULT_NAMESPACE,
            model=found["model"],
            tag=found["tag"] or DEFAULT_TAG,
        )

    @classmethod
    def from_manifest_key(cls, key: str) -> "ModelName | None":
        """The name whose manifest is stored under a key; None for a key that is no manifest's."""
        match key.split("/"):
            case ["manifests", host, namespace, model, tag]:
                try:
                    return cls.parse(f"{host}/{namespace}/{model}:{tag}")
                except InvalidRequest:
                    return None
            case _:
                return None

    @property
    def display(self) -> str:
        """The shortest name that means this model; the tag is always shown."""
        short = f"{self.model}:{self.tag}"
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{short}"
        return short if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{short}"

    @property
    def manifest_key(self) -> str:
        """Where the catalog keeps this model's manifest."""
        return f"manifests/{self.host}/{self.namespace}/{self.model}/{self.tag}"

    @property
    def folded(self) -> str:
        """Equal for two names that differ in case only."""
        return self.manifest_key.lower()

    def __str__(self) -> str:
        return self.display
