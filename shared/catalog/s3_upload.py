"""An upload into S3: a multipart upload to a key of its own, copied to the blob's key once its digest is right.

Until then nobody sees it, and the parts of a broken upload, which S3 does not let anybody read, can be checked after
they have become an object.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from shared.catalog.manifest import blob_key
from shared.catalog.ordered import Buffer
from shared.catalog.store import Conflict
from shared.catalog.upload import Upload, part_bytes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from shared.catalog.s3 import S3Store

STAGING: Final = "uploads/"

_AT_ONCE: Final = 6
"""Parts on their way to S3: boto3 holds a copy of each, and its allocator keeps one per thread."""

_ONE_COPY_MOST: Final = 5 * 10**9
"""Bytes that S3 copies in one request; more is copied in parts."""

_COPY_PART: Final = 512 << 20
_READ_BACK: Final = 8 << 20
_READERS: Final = 4


class S3Upload(Upload):
    """An Upload. A blob of one part is held in memory and put at once."""

    at_once = _AT_ONCE

    def __init__(self, store: S3Store, digest: str, size: int) -> None:
        self._s3 = store
        self._staging = STAGING + blob_key(digest).removeprefix("blobs/")
        self._single = size <= part_bytes(size)
        self._data = b""
        self._etags: dict[int, str] = {}
        self._upload_id = ""
        self._etag = ""
        """Of the staged object, once there is one."""
        self._slots = threading.Semaphore(_AT_ONCE)
        stored = set() if self._single else self._find(digest, size)
        super().__init__(digest, size, stored)

    def discard(self) -> None:
        with self._s3.reachable() as client:
            if self._upload_id:
                with suppress(client.exceptions.NoSuchUpload):
                    client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
        if self._etag:
            self._s3.delete(self._staging)

    @property
    def _target(self) -> dict[str, Any]:
        return {"Bucket": self._s3.bucket, "Key": self._s3.full_key(self._staging)}

    def _find(self, digest: str, size: int) -> set[int]:
        """Parts of an earlier upload; all of them when it got as far as an object. Begins one when there is none."""
        part_size = part_bytes(size)
        count = -(-size // part_size)
        staged = self._s3.head(self._staging)
        if staged and staged.size == size:
            self._etag = staged.etag
            return set(range(count))
        with self._s3.reachable() as client:
            self._upload_id, parts = _latest(client, self._target)
            lengths = [part_size] * (count - 1) + [size - part_size * (count - 1)]
            if any(not 0 < number <= count or lengths[number - 1] != length for number, (_, length) in parts.items()):
                client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
                self._upload_id = ""
            if not self._upload_id:
                self._upload_id = client.create_multipart_upload(**self._target)["UploadId"]
                return set()
            self._etags = {number: etag for number, (etag, _) in parts.items()}
            return {number - 1 for number in parts}

    def _store(self, number: int, data: Buffer) -> None:
        body = _whole(data)
        if self._single:
            self._data = bytes(body)
            return
        with self._slots, self._unfinished() as client:
            answer = client.upload_part(**self._target, UploadId=self._upload_id, PartNumber=number + 1, Body=body)
        self._etags[number + 1] = answer["ETag"]

    def _recall(self, number: int) -> None:
        return None

    def _complete(self) -> None:
        """The ETags say what the parts were: another writer of the same upload cannot slip in others.

        AWS refuses parts of other ETags. Other servers do not; the object's own ETag, which follows from those of its
        parts, tells then, and where it does not the object is read back.
        """
        if self._single or self._etag:
            return
        parts: list[Any] = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
        with self._unfinished() as client:
            answer = client.complete_multipart_upload(
                **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": parts}
            )
        self._etag, self._upload_id = answer["ETag"].strip('"'), ""
        if self._etag != _etag_of([etag for _, etag in sorted(self._etags.items())]):
            self._hash.lose()

    def _read_back(self) -> str:
        found = hashlib.sha256()
        starts = range(0, self.size, _READ_BACK)
        with ThreadPoolExecutor(_READERS) as pool:
            # A few ranges ahead of the hash, not more: memory.
            waiting = [pool.submit(self._staged, start) for start in starts[:_READERS]]
            for number in range(len(starts)):
                found.update(waiting.pop(0).result())
                if number + _READERS < len(starts):
                    waiting.append(pool.submit(self._staged, starts[number + _READERS]))
        return found.hexdigest()

    def _staged(self, start: int) -> bytes:
        span = f"bytes={start}-{min(start + _READ_BACK, self.size) - 1}"
        with self._unfinished() as client:
            answer = client.get_object(**self._target, Range=span, IfMatch=f'"{self._etag}"')
            with answer["Body"] as body:
                return body.read()

    def _publish(self) -> None:
        if self._single:
            self._s3.put(self.key, self._data)
            return
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=_ONE_COPY_MOST, multipart_chunksize=_COPY_PART, max_concurrency=16)
        with self._unfinished() as client:
            client.copy(
                {"Bucket": self._s3.bucket, "Key": self._s3.full_key(self._staging)},
                self._s3.bucket,
                self._s3.full_key(self.key),
                ExtraArgs={"CopySourceIfMatch": f'"{self._etag}"'},
                Config=config,
            )
        self._s3.delete(self._staging)

    @contextmanager
    def _unfinished(self) -> Iterator[S3Client]:
        """The client; Conflict when the upload is not there any more, or is another's."""
        from botocore.exceptions import ClientError

        with self._s3.reachable() as client:
            try:
                yield client
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code in {"NoSuchUpload", "NoSuchKey", "404", "InvalidPart", "PreconditionFailed", "412"}:
                    raise Conflict(f"the upload of {self.key} was finished or given up by another process") from None
                raise


def abandon(store: S3Store, before: float, keep: Collection[str]) -> int:
    """Abort multipart uploads, and remove staged objects, that were begun before (unix seconds); how many."""
    removed = 0
    spared = {STAGING + key.removeprefix("blobs/") for key in keep}
    with store.reachable() as client:
        pages = client.get_paginator("list_multipart_uploads").paginate(
            Bucket=store.bucket, Prefix=store.prefix + STAGING
        )
        for found in [found for page in pages for found in page.get("Uploads", ())]:
            if found["Initiated"].timestamp() <= before and found["Key"].removeprefix(store.prefix) not in spared:
                with suppress(client.exceptions.NoSuchUpload):
                    client.abort_multipart_upload(Bucket=store.bucket, Key=found["Key"], UploadId=found["UploadId"])
                removed += 1
    for entry in list(store.list(STAGING)):
        if entry.modified <= before and entry.key not in spared:
            store.delete(entry.key)
            removed += 1
    return removed


def _latest(client: S3Client, target: dict[str, Any]) -> tuple[str, dict[int, tuple[str, int]]]:
    """The newest upload to a key, and its parts: ETag and length by S3's numbers, which begin with 1."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=target["Bucket"], Prefix=target["Key"])
    uploads = [found for page in pages for found in page.get("Uploads", ()) if found["Key"] == target["Key"]]
    if not uploads:
        return "", {}
    newest = max(uploads, key=lambda found: found["Initiated"])["UploadId"]
    try:
        listed = [
            part
            for page in client.get_paginator("list_parts").paginate(**target, UploadId=newest)
            for part in page.get("Parts", ())
        ]
    except client.exceptions.NoSuchUpload:
        return "", {}
    return newest, {part["PartNumber"]: (part["ETag"], part["Size"]) for part in listed}


def _etag_of(parts: list[str]) -> str:
    """The ETag of an object made of parts; empty when theirs are no MD5 sums."""
    try:
        sums = b"".join(bytes.fromhex(etag.strip('"')) for etag in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _whole(data: Buffer) -> Any:
    """What boto3 takes as a body, without a copy where the data fills its buffer."""
    if isinstance(data, memoryview):
        return data.obj if isinstance(data.obj, bytearray) and len(data.obj) == len(data) else bytes(data)
    return data
