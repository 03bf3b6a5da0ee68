"""Stage transitions over MLflow's wire: gates, approvals, rights."""

import itertools
import json

import pytest
from django.utils import timezone

from crowetrade_site.core.models import AuditEvent
from registry import services
from registry.lifecycle import Stage
from registry.models import ModelVersion, PromotionRequest
from tests.factories.accounts import account
from tests.factories.mlflow import Wire, refused, said
from tests.factories.registry import bring_evidence, model_version, registered_model

pytestmark = pytest.mark.django_db(transaction=True)
WORDS = {
    "development": "None", "testing": "None", "staging": "Staging", "production": "Production",
    "archived": "Archived",
}  # fmt: skip


def move(wire, stage, **more):
    return wire.post("model-versions/transition-stage", name="fx", version="1", stage=stage, **more)


def prove(version, validator):
    """Hand in all evidence that the default policy asks for, as of now."""
    at = timezone.now()
    bring_evidence(version, days_ago=0, at=at)
    services.attest_evidence(
        version_id=version.public_id, topic="kill-switch-drill", summary="Stopped.",
        actor=validator, at=at,
    )  # fmt: skip


def approve(*people):
    request = PromotionRequest.objects.get(status="open")
    for person in people:
        services.approve_promotion(request_id=request.public_id, actor=person, at=timezone.now())


@pytest.fixture
def judges(db):
    return [account("validator"), account("validator")]


@pytest.fixture
def make(author):
    """Make the one version of fx, in a stage."""
    return lambda stage="development": model_version(
        author, model=registered_model(author, "fx"), stage=Stage(stage)
    )


class TestEveryPair:
    @pytest.mark.parametrize(
        ("before", "word"), list(itertools.product(WORDS, sorted(set(WORDS.values()))))
    )
    def test_moves_stays_or_is_refused(self, make, wire, author, before, word):
        version = make(before)

        answer = move(Wire(account("admin")), word.upper())

        moves = {
            ("development", "Archived"): "archived", ("testing", "Archived"): "archived",
            ("staging", "Archived"): "archived", ("production", "Archived"): "archived",
            ("staging", "None"): "development", ("archived", "None"): "development",
        }  # fmt: skip
        if WORDS[before] == word:
            expected = before
        elif (before, word) in moves:
            expected = moves[before, word]
        else:
            expected = before
            assert answer.json()["error_code"] in ("INVALID_STATE_TRANSITION", "PERMISSION_DENIED")
            assert answer.status_code in (400, 403)
        version.refresh_from_db()
        assert version.stage == expected
        if answer.status_code == 200:
            assert said(answer)["model_version"]["current_stage"] == word


class TestStaging:
    def test_names_each_gate_of_both_moves_and_writes_nothing(self, make, wire):
        version = make()
        ModelVersion.objects.update(signature={})

        message = refused(move(wire, "Staging"), 400, "INVALID_STATE_TRANSITION")

        for gate in ("signature_schema", "backtest", "walk_forward", "deflated_sharpe"):
            assert f"gate {gate}: " in message
        assert "gate four_eyes: 0 of 1 approvals" in message
        version.refresh_from_db()
        assert version.stage == "development"
        assert not PromotionRequest.objects.exists()

    def test_asks_for_approval_once_and_is_there_when_it_was_given(self, make, wire, judges):
        version = make()
        prove(version, judges[0])

        for _ in range(2):
            message = refused(move(wire, "Staging"), 400, "INVALID_STATE_TRANSITION")
            assert "gate four_eyes: 0 of 1 approvals" in message
        assert str(PromotionRequest.objects.get().public_id) in message
        approve(judges[0])

        assert said(move(wire, "staging"))["model_version"]["current_stage"] == "Staging"

    def test_is_asked_for_by_whoever_may(self, make, wire_of, judges):
        prove(make(), judges[0])

        for actor in (Wire(judges[0]), wire_of("operator"), wire_of("researcher")):
            refused(move(actor, "Staging"), 403, "PERMISSION_DENIED")
        version = ModelVersion.objects.get()
        assert version.stage == "development"


class TestProduction:
    @pytest.mark.parametrize("before", ["development", "testing"])
    def test_is_reached_by_way_of_staging(self, make, wire, before):
        make(before)

        message = refused(move(wire, "Production"), 400, "INVALID_STATE_TRANSITION")

        assert message.endswith("it goes to Staging first, and from there to Production.")

    @pytest.fixture
    def staged(self, make, judges):
        version = make("staging")
        prove(version, judges[0])
        return version

    def test_takes_two_approvals_and_an_operator(self, staged, wire, wire_of, judges):
        operator = wire_of("operator")
        for n_given, judge in ((0, judges[0]), (1, judges[1])):
            answer = move(operator, "Production", archive_existing_versions=True)
            message = refused(answer, 400, "INVALID_STATE_TRANSITION")
            assert f"gate four_eyes: {n_given} of 2 approvals" in message
            approve(judge)

        message = refused(move(wire, "Production"), 403, "PERMISSION_DENIED")
        assert "Operators carry out" in message
        assert AuditEvent.objects.latest("id").verb == "registry.promotion.execution_refused"
        answer = said(move(operator, "Production"))["model_version"]

        assert answer["current_stage"] == "Production"

    @pytest.mark.parametrize("archive", [True, False, None])
    def test_always_keeps_one_version(self, staged, wire, wire_of, author, judges, archive):
        other = model_version(author, model=staged.registered_model, stage=Stage.PRODUCTION)
        move(wire, "Production")
        approve(*judges)

        said(move(wire_of("operator"), "Production", archive_existing_versions=archive))

        other.refresh_from_db()
        assert other.stage == "archived"

    def test_names_a_gate_that_fell_meanwhile(self, staged, wire, judges):
        move(wire, "Production")
        staged.evidence.filter(kind="pbo").update(status="superseded")

        message = refused(move(wire, "Production"), 400, "INVALID_STATE_TRANSITION")

        assert "gate pbo: no evidence" in message

    def test_has_its_approvals_lapse_with_the_evidence(self, staged, wire, wire_of, judges):
        move(wire, "Production")
        approve(*judges)
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, at=timezone.now())

        answer = move(wire_of("operator"), "Production")

        assert "lapsed" in refused(answer, 409, "RESOURCE_CONFLICT")

    def test_counts_no_approval_of_other_evidence(self, staged, wire, wire_of, judges):
        move(wire, "Production")
        approve(judges[0])
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, at=timezone.now())

        message = refused(move(wire, "Production"), 400, "INVALID_STATE_TRANSITION")

        assert "gate four_eyes: 0 of 2 approvals" in message


class TestRights:
    def test_to_revoke_are_those_of_the_registry(self, make, wire, wire_of):
        make("production")

        refused(move(wire, "Archived"), 403, "PERMISSION_DENIED")
        refused(move(wire_of("auditor"), "Archived"), 403, "PERMISSION_DENIED")
        assert said(move(wire_of("operator"), "Archived"))

    def test_of_operators_come_with_a_key_for_them_alone(self, make, judges):
        prove(make("staging"), judges[0])
        operator = Wire(account("operator"), "models:operate")

        message = refused(move(operator, "Production"), 400, "INVALID_STATE_TRANSITION")
        assert "0 of 2 approvals" in message
        approve(*judges)
        said(move(operator, "Production"))
        alias = {"name": "fx", "alias": "champion", "version": "1"}
        said(operator.post("registered-models/alias", **alias))
        assert said(move(operator, "Archived"))["model_version"]["current_stage"] == "Archived"

    def test_are_not_with_a_key_that_only_reads(self, make, author):
        make()

        refused(move(Wire(author, "models:read"), "Archived"), 403, "PERMISSION_DENIED")


class TestRefusalsOnRecord:
    def told(self):
        event = AuditEvent.objects.filter(verb__startswith="registry.promotion.").latest("id")
        return event, json.loads(event.canonical)["after"]

    @pytest.mark.parametrize(
        ("before", "word", "target"),
        [("development", "staging", "staging"), ("staging", "Production", "production")],
    )
    def test_are_those_of_the_scopes(self, make, author, before, word, target):
        version = make(before)

        refused(move(Wire(author, "models:read"), word), 403, "PERMISSION_DENIED")

        event, after = self.told()
        assert (event.verb, event.actor) == ("registry.promotion.request_refused", "author")
        assert (event.object_id, after["target"]) == (str(version.public_id), target)
        assert "This token lacks the scope" in event.reason

    def test_are_those_of_roles_that_do_not_ask(self, make, judges):
        make("development")

        refused(move(Wire(judges[0]), "Staging"), 403, "PERMISSION_DENIED")

        event, after = self.told()
        assert (event.verb, after["target"]) == ("registry.promotion.request_refused", "staging")
        assert event.actor == judges[0].username
        assert event.reason.startswith("Your roles do not let you promote to staging fx v1")

    def test_name_the_execution_once_the_request_is_approved(self, make, wire, wire_of, judges):
        prove(make("staging"), judges[0])
        move(wire, "Production")
        approve(*judges)

        refused(move(wire_of("auditor"), "Production"), 403, "PERMISSION_DENIED")

        event, _ = self.told()
        assert event.verb == "registry.promotion.execution_refused"
        assert event.object_id == str(PromotionRequest.objects.get().public_id)

    @pytest.mark.parametrize("word", ["Archived", "None", "Live", None])
    def test_are_not_of_moves_that_ask_nobody(self, make, wire_of, word):
        make("staging")
        auditor = wire_of("auditor")
        n_before = AuditEvent.objects.count()

        refused(move(auditor, word), 403, "PERMISSION_DENIED")

        assert AuditEvent.objects.count() == n_before

    def test_are_not_of_versions_that_are_not(self, wire_of):
        auditor = wire_of("auditor")
        n_before = AuditEvent.objects.count()

        refused(move(auditor, "Staging"), 403, "PERMISSION_DENIED")

        assert AuditEvent.objects.count() == n_before


class TestWords:
    @pytest.mark.parametrize("stage", ["testing", "development", "", None, "Live"])
    def test_are_mlflows_four(self, make, wire, stage):
        make()

        refused(move(wire, stage), 400, "INVALID_PARAMETER_VALUE")

    @pytest.mark.parametrize("stage", ["None", "Archived"])
    def test_have_nothing_to_archive_below_staging(self, make, wire, stage):
        make("staging")

        answer = move(wire, stage, archive_existing_versions=True)

        refused(answer, 400, "INVALID_PARAMETER_VALUE")

    def test_need_a_version(self, wire):
        refused(move(wire, "Staging"), 404, "RESOURCE_DOES_NOT_EXIST")
