"""Files over REST: handed in whole or not at all."""

import base64
import hashlib
import tracemalloc

import pytest

from crowetrade_site.core import storage
from registry import services
from registry.models import StoredFile
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.clients import client, problem
from tests.factories.registry import events_of, hand_in, registered_model
from tests.registry.api.bodies import content_digest, send

pytestmark = pytest.mark.django_db
FILES = "/api/v1/files/"
CONTENT = b"weights" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def objects(settings) -> list:
    """Return every file under the store, finished or not."""
    return [path for path in settings.ARTIFACT_ROOT.rglob("*") if path.is_file()]


class TestPut:
    def test_keeps_the_bytes_under_path_and_digest(self, api, author):
        answer = send(api, "PUT", f"{FILES}desk/m/model.skops", CONTENT)

        assert answer.status_code == 201
        body = answer.json()
        assert (body["path"], body["sha256"], body["n_bytes"]) == (
            "desk/m/model.skops", DIGEST, len(CONTENT),
        )  # fmt: skip
        assert (body["uploaded_by"], body["is_frozen"]) == (author.username, False)
        assert answer["ETag"] == f'"{DIGEST}"'
        assert storage.read(DIGEST) == CONTENT
        assert events_of(StoredFile.objects.get()) == ["file.stored"]

    def test_decodes_the_path_once(self, api):
        send(api, "PUT", f"{FILES}desk/a%20b.json", CONTENT)

        assert StoredFile.objects.get().path == "desk/a b.json"

    @pytest.mark.parametrize(
        "path",
        ["../x", "a/../x", "a//x", "%2e%2e/x", "%252e%252e/x", "a%5Cb", "a%00b", "C:/x", "a/"],
    )
    def test_refuses_a_path_that_leads_elsewhere(self, api, path, settings):
        answer = send(api, "PUT", FILES + path, CONTENT)

        assert answer.status_code in {404, 422}
        assert not StoredFile.objects.exists()
        assert objects(settings) == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content_Digest": content_digest(CONTENT)},
            {"Digest": content_digest(CONTENT).replace(":", "")},
            {"X_Content_SHA256": DIGEST},
            {"X_Content_SHA256": DIGEST.upper(), "Content_Digest": content_digest(CONTENT)},
            {"Content_Digest": f"sha-512=:YQ==:, {content_digest(CONTENT)}"},
        ],
    )
    def test_takes_what_its_headers_announce(self, api, headers):
        assert send(api, "PUT", f"{FILES}a", CONTENT, **headers).status_code == 201

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content_Digest": content_digest(b"other")},
            {"Digest": content_digest(b"other").replace(":", "")},
            {"X_Content_SHA256": "0" * 64},
        ],
    )
    def test_keeps_nothing_of_what_was_not_announced(self, api, headers, settings):
        answer = send(api, "PUT", f"{FILES}a", CONTENT, **headers)

        assert problem(answer, 422)["type"].endswith("digest-mismatch")
        assert objects(settings) == []
        assert not StoredFile.objects.exists()

    @pytest.mark.parametrize(
        "headers",
        [
            {"X_Content_SHA256": "abc"},
            {"Content_Digest": "sha-256=abc"},
            {"Content_Digest": "sha-256=:YQ==:"},
            {"Digest": "md5=abc"},
            {"Content_Digest": content_digest(b"other"), "X_Content_SHA256": DIGEST},
            {"Content_Encoding": "gzip"},
        ],
    )
    def test_refuses_headers_it_cannot_hold_to(self, api, headers):
        problem(send(api, "PUT", f"{FILES}a", CONTENT, **headers), 400)

    def test_keeps_nothing_of_a_body_that_breaks_off(self, api, settings):
        answer = send(api, "PUT", f"{FILES}a", CONTENT, length=len(CONTENT) + 1)

        body = problem(answer, 400)
        assert (body["type"].rsplit(":", 1)[-1], body["received"]) == ("truncated", len(CONTENT))
        assert objects(settings) == []
        assert not StoredFile.objects.exists()

    def test_reads_no_further_than_the_length(self, api):
        send(api, "PUT", f"{FILES}a", CONTENT + b"the next request", length=len(CONTENT))

        assert StoredFile.objects.get().sha256 == DIGEST

    @pytest.mark.parametrize("length", [None, "x", -5])
    def test_wants_a_length(self, api, length):
        problem(send(api, "PUT", f"{FILES}a", CONTENT, length=length), 411)

    def test_takes_an_empty_file(self, api):
        assert send(api, "PUT", f"{FILES}a", b"").json()["n_bytes"] == 0

    def test_refuses_what_is_too_large_before_it_arrives(self, api, settings):
        settings.MODEL_FILE_MAX_BYTES = 10

        problem(send(api, "PUT", f"{FILES}a", CONTENT), 413)

    def test_holds_no_more_than_pieces_in_memory(self, api, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
        content = bytes(40 * storage.CHUNK)
        tracemalloc.start()

        answer = send(api, "PUT", f"{FILES}large", content)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert answer.status_code == 201
        assert peak < 8 * storage.CHUNK


class TestPutAgain:
    def test_replaces_what_no_version_refers_to(self, api):
        for content in (b"one", b"two"):
            assert send(api, "PUT", f"{FILES}a", content).status_code == 201

        stored = StoredFile.objects.get()
        assert stored.sha256 == hashlib.sha256(b"two").hexdigest()
        assert events_of(stored) == ["file.stored", "file.replaced"]

    def test_refuses_to_replace_what_a_version_refers_to(self, api, author, settings):
        model = registered_model(author)
        folder = hand_in(author, content=CONTENT)
        services.register_version(
            name=model.name, source=folder, card=VersionCard(), actor=author, at=AT
        )
        before = objects(settings)
        address = f"{FILES}{folder}/parameters.json"

        answer = send(api, "PUT", address, b"other", X_Content_SHA256="0" * 64)

        assert "never change" in problem(answer, 409)["detail"]
        assert objects(settings) == before
        assert send(api, "PUT", address, CONTENT, X_Content_SHA256=DIGEST).status_code == 201

    def test_refuses_to_replace_what_somebody_else_put_there(self, api):
        send(client(account("researcher")), "PUT", f"{FILES}a", b"theirs")

        problem(send(api, "PUT", f"{FILES}a", b"mine"), 403)


class TestScopes:
    @pytest.mark.parametrize("role", ["validator", "operator", "auditor"])
    def test_are_those_of_who_registers(self, role):
        problem(send(client(account(role)), "PUT", f"{FILES}a", CONTENT), 403)

    def test_know_no_other_verb(self, api):
        problem(api.post(f"{FILES}a", {}), 405)


class TestList:
    def test_shows_a_folder(self, api):
        for path in ("b/two", "a/one", "b/one"):
            send(api, "PUT", FILES + path, path.encode())

        rows = api.get(f"{FILES}?under=b/").json()["results"]

        assert [row["path"] for row in rows] == ["b/one", "b/two"]
        assert len(api.get(f"{FILES}?sha256={rows[0]['sha256']}").json()["results"]) == 1


class TestContentDigest:
    def test_is_that_of_the_standard(self):
        assert content_digest(b"") == (
            f"sha-256=:{base64.b64encode(bytes.fromhex(hashlib.sha256(b'').hexdigest())).decode()}:"
        )
