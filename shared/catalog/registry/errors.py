"""What a registry can do wrong."""

from typing import ClassVar

from shared.errors import InvalidRequest, NotFound, PunaError


class RegistryFailed(PunaError):
    """A registry refused, or answered what makes no sense."""

    status: ClassVar[int] = 502
    default_code: ClassVar[str | None] = "registry_failed"


class NotInRegistry(NotFound):
    """A registry has no such model or blob."""

    default_code = "not_in_registry"


class RegistryRefused(InvalidRequest):
    """An address that is not gone to."""

    default_code: ClassVar[str | None] = "invalid_registry"
