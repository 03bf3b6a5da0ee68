"""Conversions, signatures, trusted types and owners over REST."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from registry.artifacts.manifest import Manifest
from registry.lifecycle import VersionStatus
from registry.models import ModelVersion
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.registry import events_of, model_version, registered_model
from tests.registry.artifacts.test_signing import bundle_of, pem, statement_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(author):
    return model_version(author, model=registered_model(author, "alpha"))


class TestConversions:
    def test_are_queued_and_shown(self, api, version):
        ModelVersion.objects.update(status=VersionStatus.QUARANTINED, format="pickle")
        base = f"/api/v1/versions/{version.public_id}/conversions/"

        answer = api.post(base, {"rows": [[1.0, 2.0]]}, format="json")

        assert answer.status_code == 202, answer.content
        assert api.get(answer["Location"]).json() == answer.json()
        assert [row["id"] for row in api.get(base).json()["results"]] == [answer.json()["id"]]
        assert (answer.json()["status"], answer.json()["n_rows"]) == ("queued", 1)
        assert answer.json()["target"] == "skops"

    def test_may_be_to_onnx(self, api, version):
        ModelVersion.objects.update(format="skops")
        base = f"/api/v1/versions/{version.public_id}/conversions/"

        answer = api.post(base, {"rows": [[1.0, 2.0]], "target": "onnx"}, format="json")

        assert (answer.status_code, answer.json()["target"]) == (202, "onnx")
        problem(api.post(base, {"rows": [[1.0]], "target": "pmml"}, format="json"), 422)
        problem(api.post(base, {"rows": [["a"]], "target": "onnx"}, format="json"), 422)

    def test_say_what_is_done_about_missing_values(self, api, version):
        ModelVersion.objects.update(format="skops")
        base = f"/api/v1/versions/{version.public_id}/conversions/"
        wanted = {"rows": [[1.0, 2.0]], "target": "onnx", "missing_values": "refuse"}

        gaps = problem(api.post(base, wanted | {"rows": [[1.0, None]]}, format="json"), 422)
        problem(api.post(base, wanted | {"missing_values": "drop"}, format="json"), 422)
        problem(api.post(base, wanted | {"target": "skops"}, format="json"), 422)
        answer = api.post(base, wanted, format="json")

        assert gaps["errors"][0]["path"] == "rows.0"
        assert (answer.status_code, answer.json()["missing_values"]) == (202, "refuse")
        assert api.get(base).json()["results"][0]["missing_values"] == "refuse"
        assert api.get(base, {"status": "done"}).json()["results"] == []
        assert len(api.get(base, {"status": "queued", "target": "onnx"}).json()["results"]) == 1
        assert api.get(base, {"requested_by": "nobody"}).json()["results"] == []

    def test_are_refused_for_what_is_no_pickle(self, api, version):
        base = f"/api/v1/versions/{version.public_id}/conversions/"

        problem(api.post(base, {"rows": [[1.0]]}, format="json"), 409)
        problem(api.post(base, {"rows": []}, format="json"), 422)
        problem(client(account("auditor")).post(base, {"rows": [[1]]}, format="json"), 403)


class TestSignatures:
    @pytest.fixture
    def key(self):
        return ed25519.Ed25519PrivateKey.generate()

    @pytest.fixture
    def signed(self, version, key):
        bundle = bundle_of(statement_of(Manifest.from_json(version.manifest)), key)
        return {"bundle": bundle, "public_key": pem(key).decode()}

    def base(self, version):
        return f"/api/v1/versions/{version.public_id}/signatures/"

    def test_are_verified_and_kept(self, api, version, signed):
        answer = api.post(self.base(version), signed, format="json")

        assert answer.status_code == 201, answer.content
        key = answer.json()["key_id"]
        for kept in ({}, {"key_id": key}, {"attached_by": "author"}):
            assert api.get(self.base(version), kept).json()["results"] == [answer.json()]
        assert api.get(self.base(version), {"key_id": "x"}).json()["results"] == []
        assert events_of(version)[-1] == "signature.attached"

    def test_are_kept_once_a_key(self, api, version, signed):
        api.post(self.base(version), signed, format="json")

        problem(api.post(self.base(version), signed, format="json"), 409)

    def test_are_refused_over_other_files(self, api, author, version, signed):
        other = model_version(author)

        body = problem(api.post(self.base(other), signed, format="json"), 422)

        assert "other files" in body["detail"]
        assert not other.signatures.exists()

    @pytest.mark.parametrize("key_text", ["", "no key", "-----BEGIN PUBLIC KEY-----\n\x41"])
    def test_are_refused_with_no_key(self, api, version, signed, key_text):
        problem(api.post(self.base(version), signed | {"public_key": key_text}, format="json"), 422)

    def test_are_refused_of_another_key(self, api, version, signed):
        other = pem(ed25519.Ed25519PrivateKey.generate()).decode()

        problem(api.post(self.base(version), signed | {"public_key": other}, format="json"), 422)

    def test_are_not_attached_by_auditors(self, version, signed):
        reader = client(account("auditor"))

        problem(reader.post(self.base(version), signed, format="json"), 403)


class TestTrustedTypes:
    def test_go_from_hand_to_hand(self, api, judge):
        wanted = {"desk": "g10", "name": "scipy.x.Y", "reason": "Needed."}
        row = api.post("/api/v1/trusted-types/", wanted, format="json").json()
        base = f"/api/v1/trusted-types/{row['id']}"
        problem(api.post(f"{base}/approve/", {"reason": ""}, format="json"), 403)

        trusted = judge.post(f"{base}/approve/", {"reason": "Read."}, format="json").json()

        assert (row["state"], trusted["state"]) == ("proposed", "trusted")
        listed = api.get("/api/v1/trusted-types/?is_trusted=true&desk=g10").json()["results"]
        assert [one["name"] for one in listed] == ["scipy.x.Y"]
        gone = judge.post(f"{base}/revoke/", {"reason": "Broken."}, format="json").json()
        assert gone["state"] == "revoked"
        assert api.get("/api/v1/trusted-types/?is_trusted=true").json()["results"] == []


class TestOwner:
    def test_changes(self, api, version):
        account("researcher", "hedda")
        model = version.registered_model
        wanted = {"owner": "hedda", "reason": "Desk moved."}

        answer = api.post(f"/api/v1/models/{model.public_id}/owner/", wanted, format="json")

        assert answer.json()["owner"] == "hedda"
        problem(api.post(f"/api/v1/models/{model.public_id}/owner/", wanted, format="json"), 403)


class TestDownloads:
    @pytest.mark.parametrize("accept", ["application/octet-stream", "text/csv", "image/png"])
    def test_are_what_they_are_whatever_is_asked_for(self, api, version, accept):
        place = f"/api/v1/versions/{version.public_id}/artifact/"

        answer = api.get(place, headers={"Accept": accept})

        assert answer.status_code == 200
        assert b"".join(answer.streaming_content)
