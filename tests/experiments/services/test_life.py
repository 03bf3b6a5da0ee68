"""The life of an experiment: every move, every refusal, one audit event each."""

import json
import threading

import pytest
from django.db import IntegrityError, connection, transaction

from crowetrade_site.core import canonical
from crowetrade_site.core.errors import (
    Conflict,
    Forbidden,
    IllegalTransition,
    InvalidInput,
    NotFound,
)
from crowetrade_site.core.models import AuditEvent
from experiments import selectors, services
from experiments.lifecycle import ExperimentStatus
from experiments.models import Allocation, Experiment
from experiments.plans import Verdict
from experiments.services.catalog import NameTaken
from registry import services as registry
from registry.lifecycle import Stage
from tests.factories.accounts import account
from tests.factories.experiments import AT, alike, draft, later, plan, running, weights_of
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db(transaction=True)
ANY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def owner():
    return account()


def verbs(experiment) -> list[str]:
    events = AuditEvent.objects.filter(object_id=str(experiment.public_id)).order_by("id")
    return [event.verb.split(".")[-1] for event in events]


class TestCreateExperiment:
    def test_keeps_a_draft_with_its_parts(self, owner):
        made = draft(owner)

        assert made.status == ExperimentStatus.DRAFT
        assert [arm.name for arm in made.arms.order_by("position")] == ["champion", "challenger"]
        assert [metric.name for metric in made.metrics.all()] == ["return"]
        assert verbs(made) == ["created"]

    def test_refuses_a_name_that_is_taken(self, owner):
        made = draft(owner)

        with pytest.raises(NameTaken):
            draft(owner, name=made.name)

    def test_gives_the_same_for_the_same_key(self, owner):
        document = plan()
        asked = {"document": document, "actor": owner, "at": AT, "idempotency_key": "k"}

        one, other = (services.create_experiment(**asked) for _ in range(2))

        assert one.pk == other.pk

    def test_is_not_for_auditors(self):
        with pytest.raises(Forbidden):
            draft(account("auditor"))


class TestReviseExperiment:
    def test_writes_a_draft_anew(self, owner):
        made = draft(owner)
        arms = [{"name": "a", "control": True}, {"name": "b"}, {"name": "c"}]

        revised = services.revise_experiment(
            experiment_id=made.public_id, document=plan(name=made.name, arms=arms), actor=owner,
            at=later(hours=1),
        )  # fmt: skip

        assert revised.arms.count() == 3
        assert verbs(made) == ["created", "revised"]

    def test_never_changes_a_plan_that_runs(self, owner):
        made = running(owner)

        with pytest.raises(IllegalTransition, match="frozen"):
            services.revise_experiment(
                experiment_id=made.public_id, document=plan(), actor=owner, at=AT
            )


class TestStartExperiment:
    def test_freezes_and_digests_the_plan(self, owner):
        made = running(owner)

        assert made.status == ExperimentStatus.RUNNING
        assert made.started_at == AT
        assert made.plan_digest == canonical.digest(made.plan)
        assert weights_of(made) == [[0.5, 0.5]]
        assert verbs(made) == ["created", "started"]

    def test_pins_what_an_alias_means_now(self, owner):
        version = model_version(owner)
        name = version.registered_model.name
        registry.set_alias(name=name, alias="blue", number=version.number, actor=owner, at=AT)
        arms = [{"name": "a", "control": True, "model": f"models:/{name}@blue"}, {"name": "b"}]

        made = running(owner, arms=arms)

        arm = made.arms.get(name="a")
        assert arm.version_id == version.public_id
        assert arm.version_digest == version.digest
        assert made.plan["arms"][0]["model"] == f"models:/{name}/{version.number}"

    def test_starts_arms_that_are_the_same_files_where_that_is_meant(self, owner):
        same = alike(owner)
        asked = {"experiment_id": same.public_id, "actor": owner, "at": AT}

        (note,) = selectors.plan_notes(same, selectors.plan_of(same))
        with pytest.raises(services.SameArms, match=r"a and b are the same .*allow_same_arms"):
            services.start_experiment(**asked)
        assert Experiment.objects.get(pk=same.pk).status == ExperimentStatus.DRAFT
        made = services.start_experiment(**asked, allow_same_arms=True)

        assert note.startswith("The arms a and b are the same files (version digest ")
        assert "or start it as the A/A test" in note
        (note,) = selectors.plan_notes(made, selectors.plan_of(made))
        assert note.endswith("a winner among them would be a false alarm.")
        started = AuditEvent.objects.get(verb="experiments.experiment.started")
        assert json.loads(started.canonical)["after"]["same_arms"] == ["a and b"]

    def test_tells_versions_apart_by_their_files(self, owner):
        one, other = model_version(owner), model_version(owner)
        named = {
            arm: f"models:/{version.registered_model.name}/{version.number}"
            for arm, version in (("a", one), ("b", other))
        }
        arms = [{"name": arm, "control": arm == "a", "model": uri} for arm, uri in named.items()]

        made = running(owner, arms=arms)

        assert selectors.arms_alike(made) == []
        assert selectors.plan_notes(made, selectors.plan_of(made)) == []

    def test_refuses_a_model_that_is_not_there(self, owner):
        arms = [{"name": "a", "control": True, "model": "models:/nothing/1"}, {"name": "b"}]
        made = draft(owner, arms=arms)

        with pytest.raises(NotFound):
            services.start_experiment(experiment_id=made.public_id, actor=owner, at=AT)
        assert Experiment.objects.get(pk=made.pk).status == ExperimentStatus.DRAFT

    def test_refuses_an_archived_version(self, owner):
        version = model_version(owner, stage=Stage.ARCHIVED)
        uri = f"models:/{version.registered_model.name}/{version.number}"
        made = draft(owner, arms=[{"name": "a", "control": True, "model": uri}, {"name": "b"}])

        with pytest.raises(Conflict, match="may not be used"):
            services.start_experiment(experiment_id=made.public_id, actor=owner, at=AT)

    def test_starts_once(self, owner):
        made = running(owner)

        with pytest.raises((IllegalTransition, Conflict)):
            services.start_experiment(experiment_id=made.public_id, actor=owner, at=AT)
        assert verbs(made) == ["created", "started"]

    @pytest.mark.parametrize("role", ["researcher", "validator", "auditor"])
    def test_is_for_owners_operators_and_admins(self, owner, role):
        made = draft(owner)

        with pytest.raises(Forbidden):
            services.start_experiment(experiment_id=made.public_id, actor=account(role), at=AT)

    @pytest.mark.parametrize("role", ["operator", "admin"])
    def test_is_for_who_runs_the_desk(self, owner, role):
        made = draft(owner)

        services.start_experiment(experiment_id=made.public_id, actor=account(role), at=AT)

        assert verbs(made) == ["created", "started"]


MOVES = {
    "start": lambda made, who: services.start_experiment(
        experiment_id=made.public_id, actor=who, at=AT
    ),
    "pause": lambda made, who: services.pause_experiment(
        experiment_id=made.public_id, actor=who, at=AT, reason="r"
    ),
    "resume": lambda made, who: services.resume_experiment(
        experiment_id=made.public_id, actor=who, at=AT, reason="r"
    ),
    "conclude": lambda made, who: services.conclude_experiment(
        experiment_id=made.public_id, actor=who, at=AT, reason="r", verdict=Verdict.INCONCLUSIVE
    ),
    "archive": lambda made, who: services.archive_experiment(
        experiment_id=made.public_id, actor=who, at=AT
    ),
}
REACHED = {
    "draft": [],
    "running": ["start"],
    "paused": ["start", "pause"],
    "concluded": ["start", "conclude"],
    "archived": ["start", "conclude", "archive"],
}
ALLOWED = {
    ("draft", "start"), ("draft", "archive"), ("running", "pause"), ("running", "conclude"),
    ("paused", "resume"), ("paused", "conclude"), ("concluded", "archive"),
}  # fmt: skip


class TestEveryMove:
    @pytest.mark.parametrize("verb", MOVES)
    @pytest.mark.parametrize("status", REACHED)
    def test_is_allowed_or_refused_as_the_table_says(self, owner, status, verb):
        made = draft(owner)
        for step in REACHED[status]:
            MOVES[step](made, owner)
        before = len(verbs(made))

        if (status, verb) in ALLOWED:
            MOVES[verb](made, owner)
            assert len(verbs(made)) == before + 1
        else:
            with pytest.raises(Conflict):
                MOVES[verb](made, owner)
            assert Experiment.objects.get(pk=made.pk).status == status
            assert len(verbs(made)) == before


class TestConcludeExperiment:
    def test_keeps_who_won_and_why(self, owner):
        made = running(owner)

        over = services.conclude_experiment(
            experiment_id=made.public_id, actor=owner, at=later(days=9), reason="clear",
            verdict=Verdict.WINNER, winner="challenger",
        )  # fmt: skip

        assert (over.verdict, over.winner) == (Verdict.WINNER, "challenger")
        assert over.concluded_at == later(days=9)
        assert over.status_reason == "clear"

    @pytest.mark.parametrize(
        ("verdict", "winner", "reason"),
        [
            (Verdict.WINNER, "", "r"),
            (Verdict.WINNER, "nobody", "r"),
            (Verdict.INCONCLUSIVE, "challenger", "r"),
            (Verdict.CONTINUE, "", "r"),
            (Verdict.INCONCLUSIVE, "", " "),
        ],
    )
    def test_refuses_what_is_no_answer(self, owner, verdict, winner, reason):
        made = running(owner)

        with pytest.raises(InvalidInput):
            services.conclude_experiment(
                experiment_id=made.public_id, actor=owner, at=AT, reason=reason, verdict=verdict,
                winner=winner,
            )  # fmt: skip


class TestReallocate:
    def test_gives_other_shares_from_now_on(self, owner):
        made = running(owner, design="assigned")

        services.reallocate(
            experiment_id=made.public_id, weights={"challenger": 0.8, "champion": 0.2},
            actor=owner, at=later(days=1), reason="ramp",
        )  # fmt: skip

        assert weights_of(made) == [[0.5, 0.5], [0.2, 0.8]]
        assert verbs(made) == ["created", "started", "reallocated"]
        told = json.loads(AuditEvent.objects.get(verb__endswith=".reallocated").canonical)
        assert told["before"]["shares"] == {"champion": 0.5, "challenger": 0.5}
        assert told["after"]["shares"] == {"champion": 0.2, "challenger": 0.8}
        assert Experiment.objects.get(pk=made.pk).revision == made.revision + 1

    @pytest.mark.parametrize(
        "weights",
        [
            {"champion": 0.5, "challenger": 0.6},
            {"champion": 1.0},
            {"champion": 0.5, "challenger": 0.3, "x": 0.2},
            {"champion": -0.5, "challenger": 1.5},
        ],
    )
    def test_refuses_shares_that_are_none(self, owner, weights):
        made = running(owner, design="assigned")

        with pytest.raises(InvalidInput):
            services.reallocate(
                experiment_id=made.public_id, weights=weights, actor=owner, at=AT, reason="r"
            )

    @pytest.mark.parametrize(
        ("allocation", "weights", "says"),
        [
            ({"cap": 0.6}, {"champion": 0.3, "challenger": 0.7}, "caps a challenger at 0.6"),
            (
                {"policy": "thompson_normal"},
                {"champion": 0.95, "challenger": 0.05},
                "every arm at least 0.1",
            ),
        ],
    )
    def test_keeps_the_limits_of_the_plan(self, owner, allocation, weights, says):
        made = running(owner, design="assigned", allocation=allocation)

        with pytest.raises(InvalidInput, match=says):
            services.reallocate(
                experiment_id=made.public_id, weights=weights, actor=owner, at=AT, reason="r"
            )

    def test_gives_none_to_an_experiment_that_is_over_meanwhile(self, owner):
        """Its status was read, and shares were written after it had been concluded."""
        made, others = running(owner, design="assigned"), []

        def conclude():
            services.conclude_experiment(
                experiment_id=made.public_id, actor=owner, at=AT, reason="r",
                verdict=Verdict.INCONCLUSIVE,
            )  # fmt: skip
            connection.close()

        def watch(execute, sql, params, many, context):
            if "experiments_allocation" in sql and not others:
                others.append(threading.Thread(target=conclude))
                others[0].start()
                others[0].join(timeout=2.0)  # as long as the row is held it has to wait
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            services.reallocate(
                experiment_id=made.public_id, weights={"challenger": 0.8, "champion": 0.2},
                actor=owner, at=later(days=1), reason="ramp",
            )  # fmt: skip
        others[0].join()

        assert verbs(made) == ["created", "started", "reallocated", "concluded"]

    def test_is_not_for_shadow_arms(self, owner):
        with pytest.raises(Conflict, match="see every period"):
            services.reallocate(
                experiment_id=running(owner).public_id, actor=owner, at=AT, reason="r",
                weights={"champion": 0.5, "challenger": 0.5},
            )  # fmt: skip


class TestAllocations:
    def test_cannot_be_changed_in_the_database(self, owner):
        made = running(owner)

        with pytest.raises(Exception, match="append-only"), transaction.atomic():
            Allocation.objects.filter(experiment=made).update(cause="person")

    def test_have_a_number_once(self, owner):
        made = running(owner)

        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO experiments_allocation (experiment_id, number, at, weights, cause, "
                "reason) VALUES (%s, 1, now(), '[]', 'x', '')",
                [made.pk],
            )


def test_an_experiment_that_is_not_there_is_not_found(owner):
    with pytest.raises(NotFound):
        services.start_experiment(experiment_id=ANY, actor=owner, at=AT)
