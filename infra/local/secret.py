"""The key that a stack makes for itself: what it encrypts must be read again after a restart."""

import base64
import os

from infra.local.home import Home, StackError
from shared.responses.seal import KEY_BYTES, state_key


def kept_key(home: Home) -> str:
    """The value of `PUNA_STATE_KEY` of this home, made the first time; readable by its owner alone.

    Raises StackError for a file that holds no key, or that cannot be read or written.
    """
    path = home.state_key
    try:
        if not path.exists():
            # Whole or not at all: a key that is cut off would be refused for ever.
            new = path.with_suffix(".new")
            new.unlink(missing_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode())
            new.rename(path)
        key = path.read_text().strip()
        state_key(key)
    except (OSError, ValueError) as error:
        raise StackError(f"{str(path)!r} cannot be used as PUNA_STATE_KEY: {error}") from None
    return key
