"""Whom to trust of servers that a stranger named."""

import ssl
from functools import cache


@cache
def context() -> ssl.SSLContext:
    """The operating system's certificates; a laptop has `truststore`, which also finds them on macOS and Windows."""
    try:
        import truststore
    except ImportError:
        return ssl.create_default_context()
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
