"""Who asks: the first step of every request under /v1."""

import hashlib

from fastapi import Request

from shared.limits import ANONYMOUS, Tenant


def authenticate(request: Request) -> Tenant:
    """The caller's tenant. No key has ever been made, so any key, or none, is accepted, as Ollama does.

    What a key stores is its own all the same: the key's digest, and never the key, is the owner.
    """
    return Tenant("default", owner_of(request.headers.get("authorization", "")))


def owner_of(authorization: str) -> str:
    """32 hex digits of the presented key's SHA-256; ANONYMOUS without a key."""
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        return ANONYMOUS
    return hashlib.sha256(key.encode()).hexdigest()[:32]
