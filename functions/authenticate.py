"""Who asks: the first step of every request under /v1."""

from fastapi import Request

from shared.limits import Tenant

EVERYONE = Tenant("default")


def authenticate(request: Request) -> Tenant:
    """The caller's tenant. No key has ever been made, so any key, or none, is accepted, as Ollama does."""
    return EVERYONE
