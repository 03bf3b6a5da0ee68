"""What goes up, and what is in use, is hashed where it is stored."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, Corrupted, Forbidden, InvalidInput, Unavailable
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import jobs, services
from registry.lifecycle import RequestStatus, Stage
from registry.models import PromotionRequest
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import (
    bring_evidence,
    events_of,
    hand_in,
    model_version,
    promotion,
    registered_model,
)

pytestmark = pytest.mark.django_db(transaction=True)


def file_of(version):
    return storage.locate(version.manifest["files"][0]["sha256"])


def spoil(version):
    path = file_of(version)
    path.chmod(0o600)
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def write_manifest(version, manifest):
    """Write as whoever owns the database could, past the trigger."""
    with connection.cursor() as cursor:
        table = "ALTER TABLE registry_modelversion"
        cursor.execute(f"{table} DISABLE TRIGGER registry_files_are_final")
        cursor.execute(
            "UPDATE registry_modelversion SET manifest = %s::jsonb WHERE id = %s",
            [json.dumps(manifest), version.pk],
        )
        cursor.execute(f"{table} ENABLE ALWAYS TRIGGER registry_files_are_final")


@pytest.fixture
def owner():
    return account(Role.RESEARCHER)


class TestRequireIntact:
    def test_lets_pass_what_is_whole(self, owner):
        version = model_version(owner)

        services.require_intact(version, at=AT)

        assert "version.compromised" not in events_of(version)

    def test_puts_other_bytes_on_record(self, owner):
        version = model_version(owner)
        spoil(version)

        with pytest.raises(Corrupted, match=r"parameters\.json is not what was registered"):
            services.require_intact(version, at=AT)

        version.refresh_from_db()
        assert version.compromised_at == AT
        assert events_of(version)[-1] == "version.compromised"

    def test_takes_missing_bytes_for_no_forgery(self, owner):
        version = model_version(owner)
        file_of(version).unlink()

        with pytest.raises(Corrupted, match="restore them from a backup"):
            services.require_intact(version, at=AT)

        version.refresh_from_db()
        assert version.compromised_at is None

    def test_puts_another_manifest_on_record(self, owner):
        version, other = model_version(owner), model_version(owner)
        write_manifest(version, other.manifest)
        version.refresh_from_db()

        with pytest.raises(Corrupted, match="not the one that was registered"):
            services.require_intact(version, at=AT)

        assert events_of(version)[-1] == "version.compromised"

    def test_refuses_more_words_than_can_be_searched(self, owner):
        asked = {"version_id": model_version(owner).public_id, "actor": owner, "at": AT}
        words = " ".join(str(number) for number in range(10**6, 10**6 + 62_500))

        with pytest.raises(InvalidInput, match="500,000 bytes together"):
            services.update_version(description=words + " more", **asked)
        services.update_version(description=words[:-8], **asked)


class TestPromotions:
    def test_no_request_for_other_bytes(self, owner):
        version = model_version(owner, stage=Stage.TESTING)
        bring_evidence(version)
        spoil(version)

        with pytest.raises(Corrupted):
            services.request_promotion(
                version_id=version.public_id, target=Stage.STAGING, actor=owner, at=AT
            )

        assert not PromotionRequest.objects.exists()
        version.refresh_from_db()
        assert version.compromised_at == AT

    def test_no_approval_of_other_bytes(self, owner):
        version = model_version(owner, stage=Stage.TESTING)
        request = promotion(version, owner)
        spoil(version)

        with pytest.raises(Corrupted):
            services.approve_promotion(
                request_id=request.public_id, actor=account(Role.VALIDATOR), at=AT
            )

        request.refresh_from_db()
        assert request.status == RequestStatus.OPEN
        assert not request.approvals.exists()

    def test_none_is_carried_out(self, owner):
        version = model_version(owner, stage=Stage.STAGING)
        validator, operator = account(Role.VALIDATOR), account(Role.OPERATOR)
        request = promotion(version, owner, validator=validator)
        for judge in (validator, account(Role.VALIDATOR)):
            services.approve_promotion(request_id=request.public_id, actor=judge, at=AT)
        spoil(version)

        with pytest.raises(Corrupted):
            services.execute_promotion(request_id=request.public_id, actor=operator, at=AT)

        version.refresh_from_db()
        assert version.stage == Stage.STAGING

    def test_a_rollback_goes_to_the_version_that_is_whole(self, owner):
        model, operator = registered_model(owner), account(Role.OPERATOR)
        present = model_version(owner, model=model, stage=Stage.PRODUCTION)
        oldest, spoiled = (
            model_version(owner, model=model, stage=Stage.ARCHIVED) for _ in range(2)
        )
        for version, was in ((oldest, AT.replace(hour=1)), (spoiled, AT.replace(hour=2))):
            type(version).objects.filter(pk=version.pk).update(
                was_production_at=was, left_development_at=was
            )
        spoil(spoiled)
        asked = {"model_name": model.name, "actor": operator, "at": AT, "reason": "losses"}

        with pytest.raises(Corrupted):
            services.roll_back(**asked)
        present.refresh_from_db()
        assert present.stage == Stage.PRODUCTION

        assert services.roll_back(**asked) == oldest

    def test_a_rollback_passes_over_what_is_missing_and_says_so(self, owner):
        model, operator = registered_model(owner), account(Role.OPERATOR)
        model_version(owner, model=model, stage=Stage.PRODUCTION)
        oldest, missing = (
            model_version(owner, model=model, stage=Stage.ARCHIVED) for _ in range(2)
        )
        for version, hour in ((oldest, 1), (missing, 2)):
            was = AT.replace(hour=hour)
            type(version).objects.filter(pk=version.pk).update(
                was_production_at=was, left_development_at=was
            )
        file_of(missing).unlink()
        asked = {"model_name": model.name, "actor": operator, "at": AT, "reason": "losses"}

        assert services.roll_back(**asked) == oldest

        restored = AuditEvent.objects.get(verb="registry.version.restored")
        told = json.loads(restored.canonical)["after"]
        assert list(told["passed_over"]) == [str(missing.public_id)]
        missing.refresh_from_db()
        assert missing.compromised_at is None
        with pytest.raises(Corrupted, match="not in the artefact store"):
            services.roll_back(**asked)

    @pytest.mark.parametrize("verb", ["request", "approve", "execute"])
    def test_nothing_is_hashed_for_who_may_not(self, owner, monkeypatch, verb):
        version = model_version(owner, stage=Stage.STAGING)
        nobody = account(Role.RESEARCHER if verb == "execute" else Role.OPERATOR)
        request = promotion(version, owner)
        monkeypatch.setattr(storage, "verify", lambda _: pytest.fail("hashed"))
        about = {"request_id": request.public_id}
        if verb == "request":  # there is one already
            about = {"version_id": version.public_id, "target": Stage.PRODUCTION}

        with pytest.raises((Forbidden, Conflict)):
            getattr(services, f"{verb}_promotion")(**about, actor=nobody, at=AT)

    def test_nothing_is_hashed_again_for_a_key_that_comes_twice(self, owner, monkeypatch):
        version = model_version(owner, stage=Stage.TESTING)
        bring_evidence(version)
        asked = {
            "version_id": version.public_id, "target": Stage.STAGING, "actor": owner, "at": AT,
            "idempotency_key": "k",
        }  # fmt: skip
        first = services.request_promotion(**asked)
        monkeypatch.setattr(storage, "verify", lambda _: pytest.fail("hashed"))

        assert services.request_promotion(**asked) == first


class TestVerifyVersions:
    def test_marks_every_version_of_the_forged_bytes(self, owner):
        folder, model = hand_in(owner), registered_model(owner)
        held = [
            services.register_version(
                name=model.name, source=folder, card=services.versions.VersionCard(), actor=owner,
                at=AT, allow_duplicate=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        type(held[0]).objects.filter(pk=held[0].pk).update(
            status="ready", stage=Stage.PRODUCTION, left_development_at=AT
        )
        spoil(held[0])

        assert len(jobs.verify_versions(at=AT).broken) == 1

        for version in held:
            version.refresh_from_db()
            assert version.compromised_at == AT

    def test_goes_on_where_one_cannot_be_read(self, owner, monkeypatch):
        away, torn, forged = (model_version(owner, stage=Stage.STAGING) for _ in range(3))
        write_manifest(torn, {"format": "?", "files": []})
        spoil(forged)
        verify = storage.verify

        def sometimes(sha256):
            if sha256 == away.manifest["files"][0]["sha256"]:
                raise Unavailable("The store is away.")
            verify(sha256)

        monkeypatch.setattr(storage, "verify", sometimes)
        found = jobs.verify_versions(at=AT)

        assert [line.partition(":")[0] for line in found.not_verified] == [str(away)]
        assert [line.partition(":")[0] for line in found.broken] == [str(torn), str(forged)]
        said = StringIO()
        with pytest.raises(SystemExit):
            call_command("verify_models", stdout=said)
        assert f"NOT VERIFIED: {away}: The store is away." in said.getvalue()

    def test_names_what_is_not_whole(self, owner):
        whole, forged, missing, other = (
            model_version(owner, stage=stage)
            for stage in (Stage.PRODUCTION, Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT)
        )
        spoil(forged)
        file_of(missing).unlink()
        spoil(other)

        found = jobs.verify_versions(at=AT)

        assert (found.n_versions, found.n_files) == (3, 1)
        assert [sentence.partition(":")[0] for sentence in found.broken] == [
            str(forged), str(missing)
        ]  # fmt: skip
        again = jobs.verify_versions(at=AT)  # nobody has revoked it, so it is told again
        assert again.broken[0].startswith(f"{forged}: compromised since")
        assert len(jobs.verify_versions(at=AT, is_all=True).broken) == 3
        assert "version.compromised" in events_of(other)
        assert "version.compromised" not in events_of(whole)

    def test_reads_a_file_once_that_several_name(self, owner):
        folder = hand_in(owner)
        for _ in range(2):
            version = services.register_version(
                name=registered_model(owner).name, source=folder,
                card=services.versions.VersionCard(), actor=owner, at=AT,
            )  # fmt: skip
            type(version).objects.filter(pk=version.pk).update(status="ready")

        found = jobs.verify_versions(at=AT, is_all=True)

        assert (found.n_versions, found.n_files) == (2, 1)
        assert found.n_bytes == version.n_bytes

    def test_is_a_command_that_fails_where_something_is_broken(self, owner):
        version = model_version(owner, stage=Stage.PRODUCTION)
        said = StringIO()
        call_command("verify_models", stdout=said)
        assert "1 versions: 1 files" in said.getvalue()
        spoil(version)

        said = StringIO()
        with pytest.raises(SystemExit):
            call_command("verify_models", "--json", stdout=said)

        assert json.loads(said.getvalue())["broken"][0].startswith(str(version))
