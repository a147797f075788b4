"""Identifiers: unique, sortable by time, safe in URLs, Redis keys and log lines."""

import os
import re
import time

_INBOUND = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


def new_id() -> str:
    """32 hex digits: 48 bits of Unix milliseconds, then 80 random bits (the layout of ULID)."""
    return f"{int(time.time() * 1000):012x}{os.urandom(10).hex()}"


def request_id(inbound: str | None) -> str:
    """The caller's `x-request-id` where it is safe to repeat in a header and a log, a new one otherwise."""
    if inbound and _INBOUND.match(inbound):
        return inbound
    return f"req_{new_id()}"
