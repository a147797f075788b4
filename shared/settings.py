"""Every setting, read from the environment in this one place. `docs/settings.md` lists them; a test compares."""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeAlias

from shared.durations import FOREVER_S, seconds_of
from shared.errors import PunaError
from shared.responses.seal import state_key

Network: TypeAlias = IPv4Network | IPv6Network


class SettingError(PunaError):
    """A variable holds something that cannot be its value."""

    default_code = "invalid_setting"


def _setting(env: str, default: Any, read: Callable[[str], Any], help: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"env": env, "read": read, "help": help})


def _positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise ValueError("must be greater than 0")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError("must not be negative")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise ValueError("must be 0 to 65535")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("must be a number of seconds greater than 0")
    return value


def _size(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], units[text[-1].upper()]) if text[-1:].upper() in units else (text, 1)
    value = float(number) * unit
    if not 0 <= value < float("inf"):
        raise ValueError("must be a size of at least 0")
    return int(value)


def _duration(text: str) -> str:
    try:
        seconds_of(float(text))
    except ValueError:
        seconds_of(text)
    return text


def _pause(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more")
    return value


def _level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("must be debug, info, warning or error")
    return text.lower()


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "on", "off", "yes", "no"):
        raise ValueError("must be true or false")
    return text.lower() in ("true", "1", "on", "yes")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _models(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(_words(text)))
    if not names:
        raise ValueError("must name at least one model")
    return names


def _state_key(text: str) -> str:
    state_key(text)
    return text


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(word) for word in _words(text))


def _logins(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [word.partition("=") for word in _words(text)]
    if not all(host and ":" in login for host, _, login in pairs):
        raise ValueError("must be host=user:password")
    return tuple((host.lower(), login) for host, _, login in pairs)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


ANY: Final = "*"
"""Among models: every other one of the catalog."""

_HOME = Path("~/.puna").expanduser()


@dataclass(frozen=True, slots=True)
class Settings:
    """One process' settings. Times are seconds; sizes are bytes."""

    home: Path = _setting("PUNA_HOME", _HOME, _path, "Where models, queue and logs are kept.")
    host: str = _setting("PUNA_HOST", "127.0.0.1", str, "Address the API listens on.")
    port: int = _setting("PUNA_PORT", 11434, _port, "Port the API listens on; 0 asks the system for a free one.")
    redis_url: str = _setting(
        "REDIS_URL",
        "",
        str,
        "Redis or Valkey (`redis://`, `rediss://`, `unix://`). Empty: an embedded server.",
    )
    catalog: str = _setting(
        "PUNA_CATALOG",
        "",
        str,
        "Model catalog: a directory or `s3://bucket/prefix`. Empty: `$PUNA_HOME/models`.",
    )
    s3_endpoint: str = _setting("PUNA_S3_ENDPOINT", "", str, "Endpoint of an S3 server other than AWS.")
    state: str = _setting(
        "PUNA_STATE",
        "",
        str,
        "Stored responses and conversations: a directory or `s3://bucket/prefix`. Empty: `$PUNA_HOME/state`.",
    )
    state_hot_s: float = _setting(
        "PUNA_STATE_HOT", 3600.0, _seconds, "How long Redis holds what is stored, after its last change."
    )
    state_kept_s: float = _setting(
        "PUNA_STATE_KEPT",
        2_592_000.0,
        _seconds,
        "How long a response is kept in a directory; in S3 the bucket's lifecycle rule decides.",
    )
    models: tuple[str, ...] = _setting(
        "PUNA_MODEL",
        ("smollm2:135m", "all-minilm", ANY),
        _models,
        "The models to serve, separated by commas; `*` is any other model of the catalog, once it is asked for. "
        "`make run` starts a worker for each, or with `PUNA_MEMORY` one for all.",
    )
    engine: str = _setting(
        "PUNA_ENGINE",
        "xllamacpp",
        str,
        "`xllamacpp`, `fake`, or the path of a `llama-server` binary; further words are options of the engine.",
    )
    slots: int = _setting("PUNA_SLOTS", 4, _positive, "Requests one engine runs at once.")
    context: int = _setting(
        "PUNA_CONTEXT",
        4096,
        _positive,
        "Context of each slot, in tokens, of a model that has no `PARAMETER num_ctx`; never more than it was made for.",
    )
    threads: int = _setting("PUNA_THREADS", 0, _natural, "Engine threads; 0 is one less than the cores, at least 1.")
    gpu_layers: int = _setting("PUNA_GPU_LAYERS", -1, int, "Layers kept on the GPU; -1 is as many as fit.")
    memory: int = _setting(
        "PUNA_MEMORY",
        0,
        _size,
        "Memory for one worker's models (`12G`, `800M`); 0 is no bound for a single one, 80 % of the RAM for several.",
    )
    keep_alive: str = _setting(
        "PUNA_KEEP_ALIVE",
        "",
        _duration,
        "How long an unused model stays loaded: seconds or `5m`; negative is for ever. "
        "Empty: `5m`, and for ever in a worker with a single model.",
    )
    residence_s: float = _setting(
        "PUNA_RESIDENCE",
        5.0,
        _pause,
        "How long a model that was loaded stays at least, while it has work, before another may take its place.",
    )
    patience_s: float = _setting(
        "PUNA_PATIENCE",
        30.0,
        _pause,
        "How long a request waits for a model in whose place others are busy, before one of them must make room.",
    )
    completions_template: bool = _setting(
        "PUNA_COMPLETIONS_TEMPLATE",
        False,
        _switch,
        "1: `/v1/completions` wraps a text prompt as a user message in the model's template, as Ollama does.",
    )
    queue_max: int = _setting("PUNA_QUEUE_MAX", 512, _positive, "Requests that may wait for one model; more get 429.")
    request_timeout_s: float = _setting(
        "PUNA_REQUEST_TIMEOUT", 600.0, _seconds, "Deadline of a request, from acceptance to its last token."
    )
    background_timeout_s: float = _setting(
        "PUNA_BACKGROUND_TIMEOUT", 3600.0, _seconds, "Deadline of a response in the background."
    )
    transfer_timeout_s: float = _setting(
        "PUNA_TRANSFER_TIMEOUT", 86_400.0, _seconds, "Longest time a pull, a push or a conversion of a model may take."
    )
    first_token_timeout_s: float = _setting(
        "PUNA_FIRST_TOKEN_TIMEOUT", 300.0, _seconds, "Longest silence of the engine before the first token."
    )
    token_timeout_s: float = _setting(
        "PUNA_TOKEN_TIMEOUT", 60.0, _seconds, "Longest silence of the engine between two tokens."
    )
    load_timeout_s: float = _setting("PUNA_LOAD_TIMEOUT", 300.0, _seconds, "Longest time a model may take to load.")
    drain_s: float = _setting(
        "PUNA_DRAIN", 10.0, _seconds, "Time running requests get to finish when a process is told to stop."
    )
    retries: int = _setting(
        "PUNA_RETRIES",
        2,
        _natural,
        "How often a request runs again after a crash, while its caller has seen nothing.",
    )
    lease_s: float = _setting("PUNA_LEASE", 15.0, _seconds, "Life of a worker's claim on a job without renewal.")
    renew_s: float = _setting("PUNA_RENEW", 5.0, _seconds, "How often a worker renews its leases and says it lives.")
    reap_s: float = _setting("PUNA_REAP", 5.0, _seconds, "How often lapsed leases are looked for.")
    log_ttl_s: float = _setting("PUNA_LOG_TTL", 300.0, _seconds, "How long a finished answer can be replayed.")
    background_log_ttl_s: float = _setting(
        "PUNA_BACKGROUND_LOG_TTL",
        3600.0,
        _seconds,
        "How long the stream of a response in the background can be resumed after its end.",
    )
    failure_ttl_s: float = _setting(
        "PUNA_FAILURE_TTL",
        3600.0,
        _seconds,
        "How long a failed job, without its prompt, stays in RQ's registry.",
    )
    comment_s: float = _setting(
        "PUNA_COMMENT",
        10.0,
        _seconds,
        "How often a waiting stream gets a comment line, or a space under `/api/`, to keep it open.",
    )
    max_body: int = _setting("PUNA_MAX_BODY", 6_000_000, _positive, "Largest request body.")
    max_blob: int = _setting("PUNA_MAX_BLOB", 100_000_000_000, _positive, "Largest file that `/api/blobs` takes.")
    images_max: int = _setting("PUNA_IMAGES_MAX", 16, _positive, "Images one request may have.")
    image_bytes: int = _setting("PUNA_IMAGE_BYTES", 10_000_000, _positive, "Largest image file.")
    images_bytes: int = _setting(
        "PUNA_IMAGES_BYTES", 32_000_000, _positive, "Largest size of one request's image files together."
    )
    image_pixels: int = _setting("PUNA_IMAGE_PIXELS", 25_000_000, _positive, "Most pixels of an image.")
    image_timeout_s: float = _setting(
        "PUNA_IMAGE_TIMEOUT", 10.0, _seconds, "Longest download of an image URL, with its redirects."
    )
    image_http: bool = _setting("PUNA_IMAGE_HTTP", False, _switch, "1: image URLs may be `http` as well as `https`.")
    image_networks: tuple[Network, ...] = _setting(
        "PUNA_IMAGE_NETWORKS",
        (),
        _networks,
        "Networks besides the public internet that image URLs may lead to (`10.1.0.0/16`), separated by commas.",
    )
    state_key: str = _setting(
        "PUNA_STATE_KEY",
        "",
        _state_key,
        "Secret that encrypts reasoning which callers keep: 32 bytes in base64url. `make run` makes one.",
        secret=True,
    )
    registry_networks: tuple[Network, ...] = _setting(
        "PUNA_REGISTRY_NETWORKS",
        (),
        _networks,
        "Networks besides the public internet that registries may be in (`10.1.0.0/16`), separated by commas.",
    )
    registry_logins: tuple[tuple[str, str], ...] = _setting(
        "PUNA_REGISTRY_LOGINS",
        (),
        _logins,
        "User and password by registry, `host=user:password`, separated by commas; each is told to its host only.",
        secret=True,
    )
    registry_stall_s: float = _setting(
        "PUNA_REGISTRY_STALL", 30.0, _seconds, "Longest silence of a registry before a download tries again."
    )
    registry_parts: int = _setting("PUNA_REGISTRY_PARTS", 16, _positive, "Parts of a blob downloaded at once.")
    collect_grace_s: float = _setting(
        "PUNA_COLLECT_GRACE",
        3600.0,
        _seconds,
        "How long a blob that no model names is kept; those of a removed model go at once.",
    )
    weights_bytes: int = _setting(
        "PUNA_WEIGHTS_BYTES",
        200_000_000_000,
        _positive,
        "Most that a worker keeps on its disk of a catalog in S3; what was not used for longest goes first.",
    )
    origins: tuple[str, ...] = _setting(
        "PUNA_ORIGINS",
        (),
        _words,
        "Further browser origins allowed by CORS, separated by commas; `*` is any.",
    )
    hosts: tuple[str, ...] = _setting(
        "PUNA_HOSTS",
        (),
        _words,
        "Further `Host` names accepted while listening on loopback, separated by commas.",
    )
    log_level: str = _setting("PUNA_LOG_LEVEL", "info", _level, "`debug`, `info`, `warning` or `error`.")

    @property
    def model(self) -> str:
        """The model that a worker loads first. Raises IndexError when none is named."""
        return self.names[0]

    @property
    def names(self) -> tuple[str, ...]:
        """The models that are named."""
        return tuple(name for name in self.models if name != ANY)

    @property
    def any_model(self) -> bool:
        """Whether models that are not named are served too."""
        return ANY in self.models

    @property
    def keep_alive_s(self) -> float:
        """How long an unused model stays loaded (s); negative is for ever."""
        if not self.keep_alive:
            return 300.0 if self.any_model or len(self.models) > 1 else FOREVER_S
        try:
            return seconds_of(float(self.keep_alive))
        except ValueError:
            return seconds_of(self.keep_alive)

    @property
    def catalog_url(self) -> str:
        """The catalog's place: the setting, or the directory under `home`."""
        return self.catalog or str(self.home / "models")

    @property
    def state_url(self) -> str:
        """The place of what is stored: the setting, or the directory under `home`."""
        return self.state or str(self.home / "state")

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment. An empty variable counts as absent. Raises SettingError naming the variable."""
        environ = os.environ if environ is None else environ
        values = {}
        for item in fields(cls):
            text = environ.get(item.metadata["env"], "").strip()
            if text:
                values[item.name] = _parse(item, text)
        return cls(**values)

    def environ(self) -> dict[str, str]:
        """These settings as variables, for a child process: `load(environ())` gives them back."""
        return {item.metadata["env"]: _text(getattr(self, item.name)) for item in fields(self)}


def _parse(item: "Field[Any]", text: str) -> Any:
    try:
        return item.metadata["read"](text)
    except ValueError as error:
        shown = repr(text) if item.repr else "…"
        raise SettingError(f"{item.metadata['env']}={shown}: {error}") from None


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join("=".join(each) if isinstance(each, tuple) else str(each) for each in value)
    return str(value)


@cache
def settings() -> Settings:
    """This process' settings, read once."""
    return Settings.load()
