"""Files under their paths, and uploads in parts."""

import hashlib

import pytest

from crowetrade_site.core import spool, storage
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import services
from registry.models import StoredFile, Upload
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import events_of

pytestmark = pytest.mark.django_db
DIGEST = hashlib.sha256(b"one").hexdigest()


@pytest.fixture
def author():
    return account(Role.RESEARCHER, "author")


def store(actor, content=b"one", path="desk/a"):
    return services.store_file(
        path=path, sha256=storage.put(content), n_bytes=len(content), actor=actor, at=AT
    )


def start(actor, **more):
    given = {"path": "desk/a", "n_bytes": 3, "sha256": DIGEST, "actor": actor, "at": AT}
    return services.start_upload(**given | more)


class TestStoreFile:
    def test_gives_bytes_a_path(self, author):
        stored = store(author)

        assert (stored.sha256, stored.n_bytes, stored.frozen_at) == (DIGEST, 3, None)
        assert events_of(stored) == ["file.stored"]

    def test_of_the_same_bytes_says_nothing_new(self, author):
        store(author)

        assert events_of(store(author)) == ["file.stored"]

    def test_replaces_what_is_not_frozen(self, author):
        store(author)

        assert events_of(store(author, b"two")) == ["file.stored", "file.replaced"]

    def test_leaves_what_is_frozen_or_somebody_elses(self, author):
        stored = store(author)

        with pytest.raises(Forbidden, match="Somebody else"):
            store(account(Role.RESEARCHER), b"two")
        StoredFile.objects.filter(pk=stored.pk).update(frozen_at=AT)
        with pytest.raises(Conflict, match="never change"):
            store(author, b"two")

    def test_refuses_readers_and_paths_that_lead_elsewhere(self, author):
        with pytest.raises(Forbidden):
            store(account(Role.AUDITOR))
        for path in ("", "/etc/passwd", "../x", "a/../../x", "a\\b"):
            with pytest.raises(InvalidInput):
                store(author, path=path)

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("1/models/m-" + "a" * 32 + "/artifacts/MLmodel", "m-" + "a" * 32),
            ("models/m-" + "a" * 31 + "/artifacts/x", ""),
        ],
    )
    def test_knows_the_files_of_a_logged_model(self, author, path, name):
        assert store(author, path=path).logged_model_id == name


class TestUpload:
    def test_begins_with_nothing(self, author):
        upload = start(author)

        assert spool.arrived(upload.public_id) == 0
        assert events_of(upload) == ["upload.started"]

    def test_is_completed_by_whoever_began_it(self, author):
        upload = start(author)
        storage.put(b"one")

        with pytest.raises(NotFound):
            services.complete_upload(
                upload_id=upload.public_id, actor=account(Role.RESEARCHER), at=AT
            )
        done = services.complete_upload(upload_id=upload.public_id, actor=author, at=AT)

        assert done.completed_at == AT
        assert events_of(StoredFile.objects.get()) == ["file.stored"]

    def test_is_given_up(self, author, django_capture_on_commit_callbacks):
        upload = start(author)

        with django_capture_on_commit_callbacks(execute=True):
            services.abandon_upload(upload_id=upload.public_id, actor=author, at=AT, reason="typo")

        assert not Upload.objects.exists()
        assert events_of(upload) == ["upload.started", "upload.abandoned"]
        with pytest.raises(NotFound):
            spool.arrived(upload.public_id)

    @pytest.mark.parametrize(
        "more", [{"sha256": "x"}, {"sha256": DIGEST.upper()}, {"n_bytes": -1}, {"path": "../x"}]
    )
    def test_refuses_what_is_wrong(self, author, more):
        with pytest.raises(InvalidInput):
            start(author, **more)
        assert AuditEvent.objects.count() == 0

    def test_refuses_what_is_too_large(self, author, settings):
        settings.MODEL_FILE_MAX_BYTES = 2

        with pytest.raises(InvalidInput, match="at most 2 bytes"):
            start(author)
