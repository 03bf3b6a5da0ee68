"""What of a version leaves over REST, and what does not."""

import hashlib

import pytest

from crowetrade_site.core import storage
from registry import services
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.clients import client, problem
from tests.factories.registry import events_of, model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = b'{"lookback_days": 20}'
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def url(version, tail="artifact/") -> str:
    return f"/api/v1/versions/{version.public_id}/{tail}"


@pytest.fixture
def version(author):
    return model_version(author, content=CONTENT)


@pytest.fixture
def folder(author):
    """A version of two files."""
    for name in ("model.onnx", "conf/a b.json"):
        services.store_file(
            path=f"desk/f/{name}", sha256=storage.put(name.encode()), n_bytes=len(name),
            actor=author, at=AT,
        )  # fmt: skip
    made = services.register_version(
        name=registered_model(author).name, source="desk/f", card=VersionCard(), actor=author, at=AT
    )
    ModelVersion.objects.filter(pk=made.pk).update(status=VersionStatus.READY)
    return made


def forge(settings, content=b"forged") -> None:
    """Write other bytes where those of the version are."""
    path = settings.ARTIFACT_ROOT / DIGEST[:2] / DIGEST[2:4] / DIGEST
    path.chmod(0o600)
    path.write_bytes(content)


class TestFiles:
    def test_are_listed_with_their_addresses(self, api, folder):
        rows = api.get(url(folder, "files/")).json()

        assert [row["path"] for row in rows] == ["conf/a b.json", "model.onnx"]
        for row in rows:
            got = api.get(row["url"])
            content = b"".join(got.streaming_content)
            assert hashlib.sha256(content).hexdigest() == row["sha256"]


class TestDownload:
    def test_streams_the_bytes_under_their_digest(self, api, version):
        answer = api.get(url(version, "artifact/?path=parameters.json"))

        assert b"".join(answer.streaming_content) == CONTENT
        assert answer["ETag"] == f'"{DIGEST}"'
        assert answer["Content-Length"] == str(len(CONTENT))
        assert answer["Content-Type"] == "application/octet-stream"
        assert 'filename="parameters.json"' in answer["Content-Disposition"]

    def test_of_one_file_needs_no_path(self, api, version, folder):
        assert b"".join(api.get(url(version)).streaming_content) == CONTENT
        problem(api.get(url(folder)), 404)

    @pytest.mark.parametrize("path", ["x", "../parameters.json", "/etc/passwd", "%00"])
    def test_of_an_unknown_path_is_not_found(self, api, version, path):
        problem(api.get(url(version, f"artifact/?path={path}")), 404)

    def test_sends_nothing_that_the_client_has(self, api, version):
        answer = api.get(url(version), headers={"If-None-Match": f'"{DIGEST}"'})

        assert (answer.status_code, answer.content) == (304, b"")

    def test_serves_whoever_asks_for_bytes(self, api, version):
        answer = api.get(url(version), headers={"Accept": "application/octet-stream"})

        assert answer.status_code == 200
        answer.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (VersionStatus.PENDING, "not been looked at"),
            (VersionStatus.QUARANTINED, "quarantine"),
            (VersionStatus.REFUSED, "refused"),
        ],
    )
    @pytest.mark.parametrize("role", ["researcher", "validator", "admin"])
    def test_no_role_has_what_is_not_ready(self, author, status, said, role):
        version = model_version(author, status=status)

        body = problem(client(account(role)).get(url(version)), 409)

        assert said in body["detail"]

    def test_not_even_by_a_tag_that_the_client_has(self, api, version):
        ModelVersion.objects.filter(pk=version.pk).update(status=VersionStatus.REFUSED)

        problem(api.get(url(version), headers={"If-None-Match": f'"{DIGEST}"'}), 409)

    @pytest.mark.parametrize("role", ["researcher", "validator", "admin"])
    def test_no_role_has_what_its_desk_trusts_no_more(self, version, role):
        ModelVersion.objects.filter(pk=version.pk).update(trusted_types=["scipy.x.Y"])

        body = problem(client(account(role)).get(url(version)), 409)

        assert "scipy.x.Y, which its desk trusts no more" in body["detail"]

    @pytest.mark.parametrize(
        ("role", "status"),
        [("researcher", 403), ("operator", 403), ("validator", 200), ("auditor", 200),
         ("admin", 200)],
    )  # fmt: skip
    def test_what_is_archived_is_for_the_record(self, author, role, status):
        version = model_version(author, stage=Stage.ARCHIVED)

        answer = client(account(role)).get(url(version))

        assert answer.status_code == status
        answer.close()


class TestTampering:
    def test_is_refused_reported_and_remembered(self, api, version, settings):
        forge(settings)

        body = problem(api.get(url(version)), 409)

        version.refresh_from_db()
        assert body["type"].endswith("corrupted")
        assert version.compromised_at is not None
        assert events_of(version)[-1] == "version.compromised"

    def test_once_found_serves_nothing_any_more(self, api, version, settings):
        forge(settings)
        api.get(url(version))
        forge(settings, CONTENT)

        assert "compromised" in problem(api.get(url(version)), 409)["detail"]
        assert events_of(version).count("version.compromised") == 1

    def test_keeps_a_version_from_going_up(self, api, version, settings):
        forge(settings)
        api.get(url(version))

        problem(api.post(url(version, "move/"), {"target": "testing"}), 409)

    def test_is_not_what_is_missing(self, api, version, settings):
        (settings.ARTIFACT_ROOT / DIGEST[:2] / DIGEST[2:4] / DIGEST).unlink()

        body = problem(api.get(url(version)), 409)

        version.refresh_from_db()
        assert "restore" in body["detail"]
        assert version.compromised_at is None
