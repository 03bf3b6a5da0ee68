"""Files that arrive in several requests."""

import hashlib
import os
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from crowetrade_site.core import spool, storage
from crowetrade_site.core.models import AuditEvent
from registry import jobs
from registry.models import StoredFile, Upload
from tests.crowetrade_site.core.threads import in_threads
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.registry.api.bodies import send

pytestmark = pytest.mark.django_db(transaction=True)
UPLOADS = "/api/v1/uploads/"
CONTENT = bytes(range(256)) * 10
DIGEST = hashlib.sha256(CONTENT).hexdigest()
BODY = {"path": "desk/large.onnx", "n_bytes": len(CONTENT), "sha256": DIGEST}


@pytest.fixture
def begun(api):
    """The address of an upload."""
    return api.post(UPLOADS, BODY)["Location"]


def part(api, address, offset, content, **more):
    return send(api, "PATCH", address, content, Upload_Offset=str(offset), **more)


def parts(settings) -> list:
    return list((settings.ARTIFACT_ROOT / spool.FOLDER).glob("*"))


class TestStart:
    def test_answers_where_the_bytes_go(self, api):
        answer = api.post(UPLOADS, BODY)

        body = answer.json()
        assert answer.status_code == 201
        assert answer["Location"] == f"{UPLOADS}{body['id']}/"
        assert {key: body[key] for key in BODY} == BODY
        assert (body["offset"], body["completed_at"]) == (0, None)

    def test_begins_one_of_one_key(self, api):
        ids = {
            api.post(UPLOADS, BODY, headers={"Idempotency-Key": "k"}).json()["id"] for _ in range(2)
        }

        assert ids == {str(Upload.objects.get().public_id)}

    @pytest.mark.parametrize(
        "more",
        [{"path": "../x"}, {"path": ""}, {"n_bytes": -1}, {"sha256": "x"}, {"n_bytes": 2**60}],
    )
    def test_refuses_what_is_wrong(self, api, more):
        problem(api.post(UPLOADS, BODY | more), 422)
        assert not Upload.objects.exists()

    def test_refuses_a_path_of_somebody_else(self, api):
        send(client(account("researcher")), "PUT", "/api/v1/files/desk/large.onnx", b"x")

        problem(api.post(UPLOADS, BODY), 403)

    def test_is_for_those_who_register(self, judge):
        problem(judge.post(UPLOADS, BODY), 403)


class TestAppend:
    def test_completes_when_all_is_there(self, api, begun, settings):
        first = part(api, begun, 0, CONTENT[:1000])
        second = part(api, begun, 1000, CONTENT[1000:])

        assert (first.json()["offset"], first["Upload-Offset"]) == (1000, "1000")
        assert second.json()["completed_at"] is not None
        assert StoredFile.objects.get().sha256 == DIGEST
        assert storage.read(DIGEST) == CONTENT
        assert parts(settings) == []

    def test_says_how_far_it_is(self, api, begun):
        part(api, begun, 0, CONTENT[:1000])

        assert api.head(begun)["Upload-Offset"] == "1000"
        assert api.get(begun).json()["offset"] == 1000

    def test_says_so_once_it_is_complete(self, api, begun):
        part(api, begun, 0, CONTENT)

        assert api.head(begun)["Upload-Offset"] == str(len(CONTENT))
        problem(part(api, begun, 0, CONTENT), 404)

    def test_keeps_what_arrived_before_a_body_broke_off(self, api, begun):
        problem(part(api, begun, 0, CONTENT[:700], length=1000), 400)

        assert api.head(begun)["Upload-Offset"] == "700"
        assert part(api, begun, 700, CONTENT[700:]).json()["completed_at"]

    @pytest.mark.parametrize("offset", [0, 999, 1001])
    def test_refuses_bytes_that_do_not_follow(self, api, begun, offset):
        part(api, begun, 0, CONTENT[:1000])

        body = problem(part(api, begun, offset, b"x"), 409)

        assert body["offset"] == 1000
        assert api.head(begun)["Upload-Offset"] == "1000"

    @pytest.mark.parametrize("offset", ["", "-1", "x", "1.5"])
    def test_wants_an_offset(self, api, begun, offset):
        problem(part(api, begun, offset, b"x"), 400)

    def test_refuses_more_than_was_announced(self, api, begun):
        problem(part(api, begun, 0, CONTENT + b"x"), 413)

    def test_ends_with_bytes_that_are_others(self, api, begun, settings):
        answer = part(api, begun, 0, bytes(len(CONTENT)))

        assert problem(answer, 422)["type"].endswith("digest-mismatch")
        assert not StoredFile.objects.exists()
        assert parts(settings) == []
        problem(api.get(begun), 404)

    def test_takes_an_empty_file(self, api):
        empty = BODY | {"n_bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        begun = api.post(UPLOADS, empty)["Location"]

        assert part(api, begun, 0, b"").json()["completed_at"]

    def test_completes_what_a_process_died_over(self, api, begun):
        """All bytes are there, and nobody came to say so."""
        name = Upload.objects.get().public_id
        with spool.held(name) as path:
            path.write_bytes(CONTENT)

        assert part(api, begun, len(CONTENT), b"").json()["completed_at"]

    def test_of_somebody_else_is_not_found(self, begun):
        other = client(account("researcher"))

        problem(part(other, begun, 0, b"x"), 404)
        problem(other.get(begun), 404)
        problem(other.delete(begun), 404)

    def test_of_none_is_not_found(self, api):
        problem(api.get(f"{UPLOADS}{uuid4()}/"), 404)


class TestTogether:
    def test_a_second_writer_is_refused(self, api, begun):
        with spool.held(Upload.objects.get().public_id):
            assert problem(part(api, begun, 0, b"x"), 409)["type"].endswith("upload-busy")

    def test_of_many_at_one_offset_one_writes(self, api, begun):
        barrier = threading.Barrier(8)

        def write(_: int) -> int:
            barrier.wait(20)
            return part(api, begun, 0, CONTENT[:1000]).status_code

        statuses = in_threads(8, write)

        assert sorted(statuses) == [200] + [409] * 7
        assert api.head(begun)["Upload-Offset"] == "1000"
        assert part(api, begun, 1000, CONTENT[1000:]).json()["completed_at"]
        assert storage.read(DIGEST) == CONTENT


class TestEnd:
    def test_by_the_one_who_began(self, api, begun, settings):
        part(api, begun, 0, CONTENT[:10])

        assert api.delete(begun).status_code == 204
        assert parts(settings) == []
        problem(api.get(begun), 404)

    def test_of_a_complete_one_leaves_the_file(self, api, begun):
        part(api, begun, 0, CONTENT)
        api.delete(begun)

        assert StoredFile.objects.exists()

    def test_by_age(self, api, begun, settings):
        part(api, begun, 0, CONTENT[:10])
        (left,) = parts(settings)
        os.utime(left, (0, 0))

        assert jobs.expire_uploads(at=timezone.now()) == 0
        assert left.exists()
        later = timezone.now() + timedelta(days=settings.UPLOAD_KEEP_DAYS, seconds=1)
        assert jobs.expire_uploads(at=later) == 1
        assert not left.exists()
        assert jobs.expire_uploads(at=later) == 0
        assert AuditEvent.objects.filter(verb="registry.upload.expired").count() == 1
