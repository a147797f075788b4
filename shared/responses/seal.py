"""Thoughts that a caller keeps for us: encrypted and authenticated, and bound to the owner of the response.

AES-256-GCM. The nonce is a keyed hash of the owner, the item and the thought, not a random number, so that whoever
replays a response's frames makes the same text; two thoughts have the same nonce only by a collision of 96 bits.
Form: base64url of a version byte, the nonce (12 bytes) and the ciphertext with its tag.
"""

import base64
import hashlib
import hmac
from typing import Final

from shared.errors import InvalidRequest

KEY_BYTES: Final = 32
SETTING: Final = "PUNA_STATE_KEY"

_VERSION: Final = b"\x01"
_NONCE: Final = 12


def state_key(text: str) -> bytes:
    """The key of a setting's value: base64url of 32 bytes. Raises ValueError."""
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("must be 32 bytes in base64url")
    return key


class Seal:
    """Seals and opens thoughts of one owner."""

    def __init__(self, key: bytes, owner: str) -> None:
        self._cipher_key = hmac.digest(key, b"puna reasoning cipher", hashlib.sha256)
        self._nonce_key = hmac.digest(key, b"puna reasoning nonce", hashlib.sha256)
        self._owner = owner.encode()

    @classmethod
    def of(cls, setting: str, owner: str) -> "Seal | None":
        """By the value of the setting; None when it is empty."""
        return cls(state_key(setting), owner) if setting else None

    def seal(self, thought: str, item_id: str) -> str:
        """The thought of an item, encrypted; the same for the same thought of the same item."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        data = thought.encode()
        parts = (self._owner, item_id.encode(), data)
        known = b"".join([len(part).to_bytes(8, "big") + part for part in parts])
        nonce = hmac.digest(self._nonce_key, known, hashlib.sha256)[:_NONCE]
        sealed = AESGCM(self._cipher_key).encrypt(nonce, data, self._owner)
        return base64.urlsafe_b64encode(_VERSION + nonce + sealed).decode()

    def open(self, text: str) -> str:
        """The thought. Raises InvalidRequest for what was not sealed for this owner with this key."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            if raw[:1] != _VERSION:
                raise ValueError
            nonce, sealed = raw[1 : 1 + _NONCE], raw[1 + _NONCE :]
            return AESGCM(self._cipher_key).decrypt(nonce, sealed, self._owner).decode()
        except (InvalidTag, ValueError):
            raise InvalidRequest(
                "The encrypted content could not be verified: it was made for another key or owner, or it was changed.",
                code="invalid_encrypted_content",
            ) from None
