"""Artefacts in an S3-compatible bucket (needs requirements/s3.txt)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header
from django.conf import settings
from django.utils import timezone
from s3transfer.exceptions import RetriesExceededError
from storages.backends.s3 import S3Storage

from crowetrade_site.core.errors import Unavailable
from crowetrade_site.core.storage import CHUNK, Stored, spooled

MULTIPART_FROM = 64 * CHUNK
ATTEMPTS = 3
MOST_VERSIONS = 100  # of an object that are deleted at a time
RENEW_AFTER = timedelta(minutes=5)  # well below the grace of what nothing refers to
TAKEN = {"PreconditionFailed", "412"}
CONTENDED = {"ConditionalRequestConflict", "409"}  # another writer is at it: look again
MISSING = {"404", "NoSuchKey", "NotFound"}


@contextmanager
def reaching() -> Iterator[None]:
    """Turn what the bucket's service refuses into an error a client can act on."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise Unavailable(f"The artefact store refuses the request ({code}).") from error
    except (BotoCoreError, RetriesExceededError) as error:
        raise Unavailable("The artefact store does not answer.") from error
    except KeyError as error:  # the library looks for a header that was cut off
        raise Unavailable(f"The artefact store's answer lacks its {error.args[0]}.") from error


class WriteOnceS3Storage(S3Storage):
    """Objects of a bucket, uploaded once with `If-None-Match: *` and cached locally by name."""

    file_overwrite = True  # the conditional PUT refuses overwriting; renaming would hide it

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # a service that hangs must not hold a worker for longer than a person waits
        stated: Config = self.client_config  # type: ignore[has-type]  # the library has no types
        self.client_config = stated.merge(
            Config(
                connect_timeout=min(5, settings.ARTIFACT_S3_TIMEOUT),
                read_timeout=settings.ARTIFACT_S3_TIMEOUT,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            )
        )

    def exists(self, name: str) -> bool:
        """Return whether the name is taken."""
        with reaching():
            return bool(super().exists(name))

    def adopt(self, path: Path, name: str) -> None:
        """Upload a finished file; a name that exists is left alone."""
        with reaching():
            for attempt in range(1, ATTEMPTS + 1):
                if self.exists(name) and self._renew(name):
                    return
                try:
                    self._upload(path, self._normalize_name(name))
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code in TAKEN and self._renew(name):
                        return
                    if code not in TAKEN | CONTENDED or attempt == ATTEMPTS:
                        raise
                else:
                    return

    def look(self, name: str) -> Stored | None:
        """Return size and time of an object."""
        found = self._head(name)
        if found is None:
            return None
        return Stored(int(found["ContentLength"]), found["LastModified"])

    def _head(self, name: str) -> dict[str, Any] | None:
        """Return what the service says of an object; None when there is none."""
        where = {"Bucket": self.bucket_name, "Key": self._normalize_name(name)}
        with reaching():
            try:
                found: dict[str, Any] = self.connection.meta.client.head_object(**where)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    return None
                raise
        return found

    def remove(self, name: str) -> None:
        """Take an object away, with its cached file."""
        self._delete(name)

    def _delete(self, name: str, version: str | None = None) -> None:
        self.forget(name)
        where = {"Bucket": self.bucket_name, "Key": self._normalize_name(name)}
        with reaching():
            self.connection.meta.client.delete_object(
                **where, **({} if version is None else {"VersionId": version})
            )

    def remove_unless_renewed(self, name: str, since: datetime) -> int | None:
        """Take an object away unless it was written, or written again, since a moment.

        The service has no deletion by time. A bucket with versioning deletes the very version that
        was looked at, and with it the older ones, so that one that is stored meanwhile stays;
        without versioning lies one request between the look and the deletion.
        """
        n_bytes = None
        for _ in range(MOST_VERSIONS):
            found = self._head(name)
            if found is None or found["LastModified"] > since:
                break
            self._delete(name, found.get("VersionId"))
            n_bytes = int(found["ContentLength"])
        return n_bytes

    def _renew(self, name: str) -> bool:
        """Make the time of an object now, so that nobody removes what was just stored again.

        False where there is none, or none any more: it has to be uploaded.
        """
        found = self.look(name)
        if found is None:
            return False
        if timezone.now() - found.written_at < RENEW_AFTER:
            return True
        where = {"Bucket": self.bucket_name, "Key": self._normalize_name(name)}
        try:
            self.connection.meta.client.copy_object(
                **where, CopySource=where, MetadataDirective="REPLACE"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return False
            raise
        return True

    def _upload(self, path: Path, key: str) -> None:
        client = self.connection.meta.client
        # a connection that is cut within "100 Continue" has the library read its end for ever
        client.meta.events.unregister("before-call.s3", add_expect_header)
        if path.stat().st_size >= MULTIPART_FROM:
            self._upload_parts(client, path, key)
            return
        with path.open("rb") as body:
            client.put_object(
                Bucket=self.bucket_name,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
            )

    def _upload_parts(self, client: Any, path: Path, key: str) -> None:
        where = {"Bucket": self.bucket_name, "Key": key}
        upload = client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")
        where["UploadId"] = upload["UploadId"]
        try:
            parts = []
            with path.open("rb") as body:
                for number, chunk in enumerate(
                    iter(lambda: body.read(MULTIPART_FROM), b""), start=1
                ):
                    part = client.upload_part(
                        **where, PartNumber=number, Body=chunk, ChecksumAlgorithm="SHA256"
                    )
                    parts.append(
                        {
                            "PartNumber": number,
                            "ETag": part["ETag"],
                            "ChecksumSHA256": part["ChecksumSHA256"],
                        }
                    )
            client.complete_multipart_upload(
                **where, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            # what stays behind costs money, not correctness: a lifecycle rule removes it
            with suppress(ClientError, BotoCoreError):
                client.abort_multipart_upload(**where)
            raise

    def local(self, name: str) -> Path:
        """Return the cached file of an object, downloading it at the first call."""
        cached = Path(settings.ARTIFACT_CACHE) / name
        if cached.is_file():
            return cached
        cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with spooled(Path(settings.ARTIFACT_CACHE)) as spool:
            self._download(name, spool)
            spool.flush()
            Path(spool.name).chmod(0o400)
            Path(spool.name).replace(cached)
        return cached

    def _download(self, name: str, spool: Any) -> None:
        with reaching():
            try:
                self.bucket.download_fileobj(self._normalize_name(name), spool)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise FileNotFoundError(name) from None
                raise

    def forget(self, name: str) -> bool:
        """Drop the cached file, so that the next look downloads it again."""
        cached = Path(settings.ARTIFACT_CACHE) / name
        existed = cached.is_file()
        cached.unlink(missing_ok=True)
        return existed
