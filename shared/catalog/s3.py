"""The catalog in an S3 bucket. Importing this module does not import boto3: the first call does."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.catalog import s3_upload
from shared.catalog.store import Conflict, Entry, Object, key_parts
from shared.errors import ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ABSENT = {"NoSuchKey", "NotFound", "404"}
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


class S3Store:
    """A Store. Credentials and region come from boto3's own chain.

    Conditional writes are S3's (If-None-Match: *, If-Match). A write that was repeated after a lost answer
    can report Conflict though it succeeded: a caller reads again before it gives up.
    """

    def __init__(self, bucket: str, prefix: str = "", *, endpoint: str = "") -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._made: S3Client | None = None

    def get(self, key: str) -> Object | None:
        with self.reachable() as client:
            try:
                answer = client.get_object(Bucket=self.bucket, Key=self.full_key(key))
                with answer["Body"] as body:
                    data = body.read()
                return Object(data, _plain(answer["ETag"]), _seconds(answer["LastModified"]))
            except client.exceptions.NoSuchKey:
                return None

    def get_range(self, key: str, start: int, length: int) -> bytes | None:
        if length <= 0:
            return b"" if self.head(key) else None
        with self.reachable() as client:
            try:
                span = f"bytes={start}-{start + length - 1}"
                with client.get_object(Bucket=self.bucket, Key=self.full_key(key), Range=span)["Body"] as body:
                    return body.read()
            except client.exceptions.NoSuchKey:
                return None
            except client.exceptions.ClientError as error:
                if error_code(error) in {"InvalidRange", "416"}:
                    return b""
                raise

    def head(self, key: str) -> Entry | None:
        with self.reachable() as client:
            try:
                answer = client.head_object(Bucket=self.bucket, Key=self.full_key(key))
            except client.exceptions.ClientError as error:
                if error_code(error) in _ABSENT:
                    return None
                raise
            etag, modified = _plain(answer["ETag"]), _seconds(answer["LastModified"])
            return Entry(key, answer["ContentLength"], etag, modified)

    def put(self, key: str, data: bytes, *, if_none_match: bool = False, if_match: str | None = None) -> str:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if if_none_match else {}
        if if_match is not None:
            condition["IfMatch"] = f'"{if_match}"'
        with self.reachable() as client:
            try:
                answer = client.put_object(Bucket=self.bucket, Key=self.full_key(key), Body=data, **condition)
                return _plain(answer["ETag"])
            except client.exceptions.ClientError as error:
                # If-Match on an object that is gone answers 404.
                if condition and error_code(error) in _CONFLICT | _ABSENT:
                    raise Conflict(f"{key} was changed by another writer") from None
                raise

    def put_file(self, key: str, source: Path, *, move: bool = False) -> None:
        with self.reachable() as client:
            client.upload_file(str(source), self.bucket, self.full_key(key))
        if move:
            source.unlink(missing_ok=True)

    def upload(self, digest: str, size: int) -> s3_upload.S3Upload:
        return s3_upload.S3Upload(self, digest, size)

    def abandon(self, before: float, keep: Collection[str] = ()) -> int:
        return s3_upload.abandon(self, before, keep)

    def url(self, key: str, seconds: int) -> str:
        with self.reachable() as client:
            target = {"Bucket": self.bucket, "Key": self.full_key(key)}
            return client.generate_presigned_url("get_object", Params=target, ExpiresIn=seconds)

    def list(self, prefix: str) -> Iterator[Entry]:
        with self.reachable() as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            for item in (item for page in pages for item in page.get("Contents", ())):
                key = item["Key"].removeprefix(self.prefix)
                yield Entry(key, item["Size"], _plain(item["ETag"]), _seconds(item["LastModified"]))

    def delete(self, key: str) -> None:
        with self.reachable() as client:
            client.delete_object(Bucket=self.bucket, Key=self.full_key(key))

    def ping(self) -> None:
        with self.reachable() as client:
            client.head_bucket(Bucket=self.bucket)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None

    def full_key(self, key: str) -> str:
        """The key in the bucket. Raises ValueError for an invalid one."""
        return self.prefix + "/".join(key_parts(key))

    @contextmanager
    def reachable(self) -> Iterator[S3Client]:
        """The client; what S3 refuses or a connection loses becomes ServiceUnavailable, told without keys."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield self._client()
        except ClientError as error:
            raise ServiceUnavailable(f"the model catalog answered {error_code(error)}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise ServiceUnavailable("the model catalog cannot be reached") from error

    def _client(self) -> S3Client:
        with self._lock:
            if self._made is None:
                self._made = _connect(self._endpoint)
            return self._made


def _connect(endpoint: str) -> S3Client:
    import boto3
    from botocore.config import Config

    # One request of a user waits for this: fail within seconds. Other servers than AWS know neither
    # bucket names as host names nor, often, the newer checksum headers.
    common: dict[str, Any] = {
        "connect_timeout": 3,
        "read_timeout": 20,
        "retries": {"mode": "standard", "total_max_attempts": 3},
        "max_pool_connections": 32,
    }
    if not endpoint:
        return boto3.session.Session().client("s3", config=Config(**common))
    session = boto3.session.Session()
    config = Config(**common, s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    region = session.region_name or "us-east-1"
    return session.client("s3", endpoint_url=endpoint, region_name=region, config=config)


def _plain(etag: str) -> str:
    return etag.strip('"')


def _seconds(moment: datetime) -> float:
    """Whole seconds: S3 tells no more with an object, and some servers more in a listing."""
    return float(int(moment.timestamp()))


def error_code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "an error"))
