"""What a concluded experiment says of registered versions reaches the registry, once."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from crowetrade_site.core.models import AuditEvent
from experiments import jobs, services
from experiments.models import Experiment
from experiments.plans import Verdict
from registry import selectors as registry
from registry import services as registering
from registry.lifecycle import Stage
from registry.models import Evidence
from registry.rules import gates
from registry.rules.policies import Gate, Policy, StagePolicy
from tests.factories.accounts import account
from tests.factories.experiments import AT, add_sums, returns, running
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner():
    return account("researcher")


@pytest.fixture
def versions(owner):
    return [model_version(owner, stage=Stage.TESTING) for _ in range(2)]


def concluded(owner, versions, *, lift=0.003, **plan):
    arms = [
        {"name": name, "control": name == "champion",
         "model": f"models:/{version.registered_model.name}/{version.number}"}
        for name, version in zip(("champion", "challenger"), versions, strict=True)
    ]  # fmt: skip
    made = running(owner, arms=arms, **plan)
    add_sums(made, returns(60, lift=lift))
    jobs.analyze_experiment(experiment_id=made.public_id)
    return Experiment.objects.get(pk=made.pk)


def evidence_of(version):
    return Evidence.objects.get(version=version, kind="experiment")


def gate_result(version, **bounds):
    asked = StagePolicy(gates=(Gate(kind="experiment", **bounds),), approvals={"number": 1})
    policy = Policy(staging=asked, production={"approvals": {"number": 2}})
    at = timezone.now()
    facts = registry.facts_of(version, at=at)
    from registry.selectors.judging import _facts

    pieces = [_facts(piece) for piece in version.evidence.all()]
    return gates.evaluate(Stage.STAGING, policy, facts, pieces, at).results[-1]


class TestHandInEvidence:
    def test_is_measured_evidence_that_gates_can_ask_for(self, owner, versions):
        made = concluded(owner, versions)
        assert made.verdict == Verdict.WINNER
        assert jobs.evidence_due() == [made.public_id]

        jobs.hand_in_evidence(experiment_id=made.public_id)

        champion, challenger = map(evidence_of, versions)
        assert challenger.is_measured
        assert challenger.source == f"experiments.experiment:{made.public_id}"
        assert challenger.digests["spec"] == made.plan_digest
        found = challenger.figures
        assert (found["is_winner"], found["metric"]) == (1.0, "return")
        assert 0.0 < found["improvement_lower"] < found["improvement"] < found["improvement_upper"]
        assert champion.figures["is_winner"] == 0.0
        assert "improvement" not in champion.figures
        asked = {"minimum": {"is_winner": 1, "improvement_lower": 0.0}}
        assert gate_result(versions[1], **asked).outcome == gates.Outcome.MET
        assert gate_result(versions[0], **asked).outcome != gates.Outcome.MET

    def test_is_handed_in_once(self, owner, versions):
        made = concluded(owner, versions)

        for _ in range(2):
            jobs.hand_in_evidence(experiment_id=made.public_id)

        assert Evidence.objects.filter(kind="experiment").count() == 2
        assert jobs.evidence_due() == []
        event = AuditEvent.objects.get(verb="experiments.experiment.handed_in")
        assert [one["arm"] for one in json.loads(event.canonical)["after"]["evidence"]] == [
            "champion", "challenger"
        ]  # fmt: skip

    def test_turns_what_is_better_when_it_is_less(self, owner, versions):
        metrics = [{"name": "return", "role": "primary", "direction": "decrease"}]
        made = concluded(owner, versions, metrics=metrics)

        jobs.hand_in_evidence(experiment_id=made.public_id)

        champion, challenger = (evidence_of(version).figures for version in versions)
        assert (champion["is_winner"], challenger["is_winner"]) == (1.0, 0.0)
        assert challenger["improvement_lower"] < challenger["improvement"] < 0.0

    def test_of_a_verdict_that_a_person_gave_says_what_was_measured(self, owner, versions):
        made = concluded(owner, versions, lift=0.0)
        assert not made.verdict
        services.conclude_experiment(
            experiment_id=made.public_id, verdict=Verdict.WINNER, winner="challenger",
            actor=owner, at=AT + timedelta(days=90), reason="I like it",
        )  # fmt: skip

        jobs.hand_in_evidence(experiment_id=made.public_id)

        assert evidence_of(versions[1]).figures["is_winner"] == 0.0

    def test_says_why_where_the_registry_refuses(self, owner, versions):
        made = concluded(owner, versions)
        registering.report_tampering(
            version_id=versions[0].public_id, path="x", found="0" * 64, at=timezone.now()
        )

        jobs.hand_in_evidence(experiment_id=made.public_id)

        made.refresh_from_db()
        assert "compromised" in made.evidence_problem["detail"]
        assert AuditEvent.objects.filter(verb="experiments.experiment.evidence_refused").exists()
        assert jobs.evidence_due() == []

    def test_has_nothing_of_arms_that_are_no_versions(self, owner):
        made = running(owner)
        add_sums(made, returns(60, lift=0.003))
        jobs.analyze_experiment(experiment_id=made.public_id)

        jobs.hand_in_evidence(experiment_id=made.public_id)

        assert not Evidence.objects.exists()
        assert not AuditEvent.objects.filter(verb__endswith="handed_in").exists()
        assert jobs.evidence_due() == []
