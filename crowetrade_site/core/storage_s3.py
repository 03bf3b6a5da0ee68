"""Artefacts in an S3-compatible bucket (needs requirements/s3.txt)."""

from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from django.conf import settings
from storages.backends.s3 import S3Storage

from crowetrade_site.core.storage import CHUNK, spooled

MULTIPART_FROM = 64 * CHUNK


class WriteOnceS3Storage(S3Storage):
    """Objects of a bucket, uploaded once with `If-None-Match: *` and cached locally by name."""

    file_overwrite = True  # the conditional PUT refuses overwriting; renaming would hide it

    def adopt(self, path: Path, name: str) -> None:
        """Upload a finished file; a name that exists is left alone."""
        if self.exists(name):
            return
        key = self._normalize_name(name)
        client = self.connection.meta.client
        try:
            if path.stat().st_size < MULTIPART_FROM:
                with path.open("rb") as body:
                    client.put_object(
                        Bucket=self.bucket_name,
                        Key=key,
                        Body=body,
                        IfNoneMatch="*",
                        ChecksumAlgorithm="SHA256",
                    )
            else:
                self._upload_parts(client, path, key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "412"}:
                raise

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
            client.abort_multipart_upload(**where)
            raise

    def local(self, name: str) -> Path:
        """Return the cached file of an object, downloading it at the first call."""
        cached = Path(settings.ARTIFACT_CACHE) / name
        if cached.is_file():
            return cached
        cached.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with spooled(cached.parent) as spool:
            try:
                self.bucket.download_fileobj(self._normalize_name(name), spool)
            except ClientError as error:
                if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
                    raise FileNotFoundError(name) from None
                raise
            spool.flush()
            Path(spool.name).replace(cached)
        return cached

    def forget(self, name: str) -> bool:
        """Drop the cached file, so that the next look downloads it again."""
        cached = Path(settings.ARTIFACT_CACHE) / name
        existed = cached.is_file()
        cached.unlink(missing_ok=True)
        return existed
