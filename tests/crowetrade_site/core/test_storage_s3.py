"""The same store in a bucket, against an S3 server in this process."""

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Corrupted, NotFound, Unavailable

boto3 = pytest.importorskip("boto3", reason="needs requirements/s3.txt")
moto_server = pytest.importorskip("moto.server", reason="needs requirements/s3.txt")
storage_s3 = pytest.importorskip("crowetrade_site.core.storage_s3")

CONTENT = b"bytes in a bucket"
BUCKET = "artifacts"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint():
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint, settings, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("s3", endpoint_url=endpoint, **KEYS)
    client.create_bucket(Bucket=BUCKET)
    use(settings, endpoint)
    yield client
    for version in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=version["Key"])
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture
def versioned(client):
    """The bucket, which keeps versions."""
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield client
    kept = client.list_object_versions(Bucket=BUCKET)
    for one in kept.get("Versions", []) + kept.get("DeleteMarkers", []):
        client.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])


def versions_of(client, digest: str) -> list[str]:
    kept = client.list_object_versions(Bucket=BUCKET, Prefix=key_of(digest))
    assert "DeleteMarkers" not in kept
    return [one["VersionId"] for one in kept.get("Versions", [])]


def stored_before(content: bytes) -> tuple[str, datetime]:
    """Return the digest of stored bytes, and a moment since when they were not stored again."""
    digest = storage.put(content)
    time.sleep(1.1)  # the service counts whole seconds
    return digest, timezone.now()


def use(settings, endpoint: str) -> None:
    settings.ARTIFACT_S3_BUCKET = BUCKET
    settings.STORAGES = settings.STORAGES | {
        "artifacts": {
            "BACKEND": "crowetrade_site.core.storage_s3.WriteOnceS3Storage",
            "OPTIONS": {
                "bucket_name": BUCKET,
                "endpoint_url": endpoint,
                "region_name": "us-east-1",
                "location": "prefix",
            },
        }
    }


def key_of(digest: str) -> str:
    return f"prefix/{storage.object_name(digest)}"


def cached(digest: str, settings) -> Path:
    return settings.ARTIFACT_CACHE / storage.object_name(digest)


class TestWriteOnceS3Storage:
    def test_stores_and_reads_back(self, client, settings):
        digest = storage.put(CONTENT)

        assert storage.exists(digest)
        assert storage.read(digest) == CONTENT
        stored = client.get_object(Bucket=BUCKET, Key=key_of(digest))
        assert stored["Body"].read() == CONTENT
        assert storage.locate(digest) == cached(digest, settings)
        assert stat.S_IMODE(cached(digest, settings).stat().st_mode) == 0o400

    def test_leaves_no_spool_behind(self, client, settings):
        storage.read(storage.put(CONTENT))

        assert not list(settings.ARTIFACT_CACHE.rglob(f"{storage.INCOMING}*"))

    def test_uploads_the_same_bytes_once(self, client):
        digest = storage.put(CONTENT)
        before = client.head_object(Bucket=BUCKET, Key=key_of(digest))["LastModified"]

        assert storage.put(CONTENT) == digest

        assert client.head_object(Bucket=BUCKET, Key=key_of(digest))["LastModified"] == before

    @pytest.mark.parametrize("is_large", [False, True])
    def test_loses_a_race_gracefully(self, client, monkeypatch, is_large):
        """Between the question and the upload somebody else has stored the name."""
        monkeypatch.setattr(storage_s3, "MULTIPART_FROM", 1 if is_large else 1 << 30)
        monkeypatch.setattr(storage_s3.WriteOnceS3Storage, "exists", lambda *_: False)
        digest = hashlib.sha256(CONTENT).hexdigest()
        client.put_object(Bucket=BUCKET, Key=key_of(digest), Body=b"the winner's")

        assert storage.put(CONTENT) == digest

        kept = client.get_object(Bucket=BUCKET, Key=key_of(digest))["Body"].read()
        assert kept == b"the winner's"
        assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)

    def test_uploads_what_was_removed_between_the_question_and_the_renewal(
        self, client, monkeypatch
    ):
        digest = storage.put(CONTENT)
        exists = storage_s3.WriteOnceS3Storage.exists

        def removed_meanwhile(self, name):
            found = exists(self, name)
            client.delete_object(Bucket=BUCKET, Key=key_of(digest))
            return found

        monkeypatch.setattr(storage_s3.WriteOnceS3Storage, "exists", removed_meanwhile)
        storage.put(CONTENT)

        stored = client.get_object(Bucket=BUCKET, Key=key_of(digest))
        assert stored["Body"].read() == CONTENT

    def test_removes_what_was_not_stored_again_since(self, client, settings):
        digest = storage.put(CONTENT)
        storage.locate(digest)
        now = timezone.now()

        assert storage.remove_unless_renewed(digest, now - timedelta(hours=1)) is None
        assert storage.exists(digest)
        assert storage.remove_unless_renewed(digest, now + timedelta(hours=1)) == len(CONTENT)
        assert not storage.exists(digest)
        assert not cached(digest, settings).exists()
        assert storage.remove_unless_renewed(digest, now + timedelta(hours=1)) is None

    def test_keeps_what_is_stored_again_between_the_look_and_the_deletion(
        self, versioned, monkeypatch
    ):
        monkeypatch.setattr(storage_s3, "RENEW_AFTER", timedelta(0))
        digest, moment = stored_before(CONTENT)
        events = storage._storage().connection.meta.client.meta.events
        renewals = iter([CONTENT])

        def store_again(**_):
            for content in renewals:  # once
                time.sleep(1.1)
                storage.put(content)

        events.register("before-call.s3.DeleteObject", store_again)

        storage.remove_unless_renewed(digest, moment)

        assert next(renewals, None) is None, "it was stored meanwhile"
        assert storage.read(digest) == CONTENT
        assert len(versions_of(versioned, digest)) == 1

    def test_removes_every_version_that_is_old(self, versioned, monkeypatch):
        monkeypatch.setattr(storage_s3, "RENEW_AFTER", timedelta(0))
        storage.put(CONTENT)
        digest, moment = stored_before(CONTENT)
        assert len(versions_of(versioned, digest)) == 2

        assert storage.remove_unless_renewed(digest, moment) == len(CONTENT)

        assert not storage.exists(digest)
        assert versions_of(versioned, digest) == []

    def test_lets_many_writers_of_the_same_bytes_all_succeed(self, client):
        with ThreadPoolExecutor(4) as pool:
            names = set(pool.map(lambda _: storage.put(CONTENT), range(8)))

        assert storage.read(names.pop()) == CONTENT
        assert not names

    def test_uploads_large_objects_in_parts(self, client, monkeypatch):
        monkeypatch.setattr(storage_s3, "MULTIPART_FROM", 5 << 20)
        content = os.urandom(11 << 20)

        digest = storage.put(content)

        assert client.head_object(Bucket=BUCKET, Key=key_of(digest))["ETag"].endswith('-3"')
        assert storage.read(digest) == content

    def test_leaves_no_parts_behind_when_an_upload_breaks(self, client, monkeypatch):
        monkeypatch.setattr(storage_s3, "MULTIPART_FROM", 4)

        with pytest.raises(Unavailable, match="EntityTooSmall"):
            storage.put(CONTENT)

        assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)
        assert not storage.exists(hashlib.sha256(CONTENT).hexdigest())

    def test_refuses_a_corrupted_object(self, client, settings):
        digest = storage.put(CONTENT)
        client.put_object(Bucket=BUCKET, Key=key_of(digest), Body=b"other bytes")

        with pytest.raises(Corrupted):
            storage.read(digest)

    def test_heals_a_corrupted_local_copy(self, client, settings):
        digest = storage.put(CONTENT)
        storage.locate(digest)
        copy = cached(digest, settings)
        copy.chmod(0o600)
        copy.write_bytes(b"other bytes")

        assert storage.read(digest) == CONTENT
        assert copy.read_bytes() == CONTENT

    def test_serves_a_verified_copy_while_the_bucket_is_away(self, client, settings):
        digest = storage.put(CONTENT)
        storage.locate(digest)
        use(settings, "http://127.0.0.1:9")

        assert storage.read(digest) == CONTENT

    def test_says_when_there_is_none(self, client):
        with pytest.raises(NotFound, match="not in the store"):
            storage.read("0" * 64)
        assert not storage.exists("0" * 64)

    def test_says_when_the_service_refuses(self, client, settings, endpoint):
        use(settings, endpoint)
        settings.STORAGES["artifacts"]["OPTIONS"]["bucket_name"] = "no-such-bucket"
        settings.STORAGES = dict(settings.STORAGES)

        with pytest.raises(Unavailable, match="NoSuchBucket"):
            storage.put(CONTENT)

    def test_says_when_the_service_is_away(self, client, settings, monkeypatch):
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        use(settings, "http://127.0.0.1:9")

        with pytest.raises(Unavailable, match="does not answer") as refusal:
            storage.put(CONTENT)
        assert "127.0.0.1" not in refusal.value.detail

    @pytest.mark.parametrize(("n_conflicts", "is_stored"), [(2, True), (3, False)])
    def test_asks_again_when_writers_get_in_each_other_s_way(
        self, client, monkeypatch, n_conflicts, is_stored
    ):
        conflicts = iter(range(n_conflicts))
        upload = storage_s3.WriteOnceS3Storage._upload

        def contended(self, path, key):
            if next(conflicts, None) is not None:
                answer = {"Error": {"Code": "ConditionalRequestConflict"}}
                raise storage_s3.ClientError(answer, "PutObject")
            upload(self, path, key)

        monkeypatch.setattr(storage_s3.WriteOnceS3Storage, "_upload", contended)

        if is_stored:
            assert storage.read(storage.put(CONTENT)) == CONTENT
        else:
            with pytest.raises(Unavailable):
                storage.put(CONTENT)
