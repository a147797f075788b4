"""The token challenge: `401` with `WWW-Authenticate` says where a token is to be had, and for what.

Source: https://distribution.github.io/distribution/spec/auth/token/
"""

import re
from base64 import b64encode
from typing import Final
from urllib.parse import urlencode

import orjson

from shared.catalog.registry.answer import text_of
from shared.catalog.registry.errors import RegistryFailed
from shared.catalog.registry.http import Http
from shared.catalog.registry.options import Options

_PARAMETER: Final = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_LARGEST: Final = 1 << 20


def answer(challenge: str, authority: str, http: Http, options: Options) -> str:
    """The `Authorization` that a challenge of the registry at `authority` (its host, and port) asks for.

    A password goes to the host it was set for and to no other, wherever a challenge points. Raises RegistryFailed,
    RegistryRefused or Broken.
    """
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        login = options.login(authority)
        if not login:
            raise RegistryFailed(f"{authority} asks for a password; PUNA_REGISTRY_LOGINS has none for it")
        return _basic(login)
    fields = dict(_PARAMETER.findall(rest))
    if scheme.lower() != "bearer" or not fields.get("realm"):
        raise RegistryFailed(f"{authority} asks for an authentication that is not known")
    return f"Bearer {_token(fields, http, options)}"


def _token(fields: dict[str, str], http: Http, options: Options) -> str:
    query = [(name, fields[name]) for name in ("service",) if fields.get(name)]
    query += [("scope", scope) for scope in fields.get("scope", "").split(" ") if scope]
    realm = fields["realm"]
    url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}" if query else realm
    host = http.place(realm).authority
    login = options.login(host)
    response = http.send("GET", url, {"Authorization": _basic(login)} if login else {})
    body = text_of(response, _LARGEST)
    if response.status != 200:
        raise RegistryFailed(f"{host} gave no token: {response.status}")
    try:
        given = orjson.loads(body)
        token = given.get("token") or given.get("access_token")
    except (orjson.JSONDecodeError, AttributeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise RegistryFailed(f"{host} gave no token")
    return token


def _basic(login: str) -> str:
    return f"Basic {b64encode(login.encode()).decode()}"
