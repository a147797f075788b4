"""How an engine is started: command line and fingerprint, from the settings. No engine is imported here."""

import hashlib
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.settings import SettingError, Settings

FAKE = "fake"
EMBEDDED = "xllamacpp"


@dataclass(frozen=True, slots=True)
class Weights:
    """Files of one model. `digest` is the sha256 of `model`, in hex, with or without `sha256:` in front."""

    model: Path
    digest: str
    mmproj: Path | None = None
    template: Path | None = None
    """A Jinja chat template that replaces the model's own."""
    lora: Path | None = None
    """An adapter, applied as a whole."""
    embedding: bool = False
    """The engine is to embed and does nothing else."""


def command(settings: Settings, weights: Weights, extra: Sequence[str] = ()) -> list[str]:
    """The argv of the engine that the settings name, with the setting's own words and then `extra` at its end."""
    engine, *words = engine_words(settings)
    if engine == FAKE:
        options = ["--slots", str(settings.slots), "--context", str(settings.context)]
        return [*_module("fake"), *options, *words, *extra]
    options = _options(settings, weights)
    if engine == EMBEDDED:
        return [*_module("llama_host"), *options, *words, *extra]
    server = ["--host", "127.0.0.1", "--port", "0", "--jinja", "--slots"]
    return [*_module("guard"), "--", engine, *server, *options, *words, *extra]


def engine_words(settings: Settings) -> list[str]:
    """The setting as a shell would split it: which engine, then options of its own. Raises SettingError."""
    try:
        words = shlex.split(settings.engine)
    except ValueError as error:
        raise SettingError(f"PUNA_ENGINE={settings.engine!r}: {error}") from None
    return words or [EMBEDDED]


def threads(settings: Settings) -> int:
    """Engine threads. One core stays free: ggml's threads spin at a barrier, and crawl if one must wait."""
    return settings.threads or max(1, (os.cpu_count() or 1) - 1)


def fingerprint(settings: Settings, weights: Weights, extra: Sequence[str] = ()) -> str:
    """`fp_` and 10 hex digits, from weights, engine version and options."""
    parts = [
        weights.digest.removeprefix("sha256:"),
        settings.engine,
        _version(engine_words(settings)[0]),
        str(settings.context),
        str(settings.gpu_layers),
        weights.template.read_text() if weights.template else "",
        weights.mmproj.name if weights.mmproj else "",
        *([weights.lora.name] if weights.lora else []),
        *extra,
    ]
    return "fp_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def _options(settings: Settings, weights: Weights) -> list[str]:
    """Names that `llama_host` and `llama-server` share."""
    options = {
        "--model": weights.model,
        "--ctx-size": settings.context * settings.slots,
        "--parallel": settings.slots,
        "--threads": threads(settings),
        "--gpu-layers": settings.gpu_layers,
        "--mmproj": weights.mmproj,
        "--lora": weights.lora,
        "--chat-template-file": weights.template,
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    return [*words, *_embedding(settings)] if weights.embedding else words


def _embedding(settings: Settings) -> list[str]:
    """An encoder reads an input in one step, so a step must hold the longest one."""
    longest = str(settings.context)
    return ["--embedding", "--batch-size", longest, "--ubatch-size", longest]


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"worker.runtime.{name}"]


def _version(engine: str) -> str:
    try:
        if engine in (FAKE, EMBEDDED):
            return version("puna" if engine == FAKE else EMBEDDED)
        status = Path(engine).stat()
        return f"{status.st_size}-{status.st_mtime_ns}"
    except (PackageNotFoundError, OSError):
        return "unknown"
