"""Where the running stack is: from the settings, or from what it has written down."""

from infra.local import record
from infra.local.home import Home, is_locked
from infra.local.listen import url
from shared.errors import PunaError
from shared.settings import Settings


class CommandError(PunaError):
    """A command cannot do its work. The message is one line."""

    default_code = "command"


def running(settings: Settings) -> record.StackRecord | None:
    """The stack that runs on this home now, if any: a record without its lock is what a kill left."""
    home = Home(settings.home)
    return record.read(home.record) if is_locked(home) else None


def redis_url(settings: Settings) -> str:
    """REDIS_URL, or the running stack's queue. Raises CommandError when there is neither."""
    if settings.redis_url:
        return settings.redis_url
    stack = running(settings)
    if stack is None:
        raise CommandError(f"no stack runs on {settings.home}: start one with `puna serve`, or set REDIS_URL.")
    return stack.redis_url


def api_url(settings: Settings) -> str:
    """Base URL of the API: PUNA_HOST and PUNA_PORT; with port 0 the one that the running stack has got."""
    stack = running(settings) if settings.port == 0 else None
    return stack.url if stack else url(settings.host, settings.port)
