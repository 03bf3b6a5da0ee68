"""Looks at experiments: recorded once, acted on once, as the plan says."""

import json
import threading
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crowetrade_site.core.models import AuditEvent
from experiments import jobs, selectors, services
from experiments.lifecycle import ExperimentStatus
from experiments.models import Analysis, Experiment, ExposureCount, PeriodStatistic
from experiments.plans import Verdict, allocating
from tests.factories.accounts import account
from tests.factories.experiments import (
    AT,
    add_sums,
    draft,
    returns,
    running,
    weights_of,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner():
    return account()


def contextual(owner):
    context = {"attribute": "regime", "values": ["calm", "turbulent"]}
    return running(
        owner, design="assigned", analysis={"horizon_periods": 400},
        allocation={"policy": "thompson_normal", "refresh": "1s", "context": context},
        stopping={"on_answer": "notify", "on_mismatch": "notify"},
    )  # fmt: skip


def guarded(owner, *names, **settings):
    """Start an experiment with guardrails of which more is worse."""
    guard = {"role": "guardrail", "direction": "decrease", "margin": 0.001}
    guards = [guard | {"name": name} for name in names or ("drawdown",)]
    return running(owner, metrics=[{"name": "return", "role": "primary"}, *guards], **settings)


def resume(experiment, owner):
    return services.resume_experiment(
        experiment_id=experiment.public_id, actor=owner, at=AT, reason="The feed was wrong."
    )


def look(experiment):
    made = jobs.analyze_experiment(experiment_id=experiment.public_id)
    return made, Experiment.objects.get(pk=experiment.pk)


class TestAnalyzeExperiment:
    def test_concludes_with_the_winner_as_the_platform(self, owner):
        made = running(owner)
        add_sums(made, returns(60, lift=0.003))

        analysis, after = look(made)

        assert analysis.verdict == Verdict.WINNER
        assert (after.status, after.winner) == (ExperimentStatus.CONCLUDED, "challenger")
        event = AuditEvent.objects.filter(verb="experiments.experiment.concluded").get()
        assert event.actor == "system"
        assert "has more return" in event.reason

    def test_goes_on_without_an_answer(self, owner):
        made = running(owner)
        add_sums(made, returns(60))

        analysis, after = look(made)

        assert analysis.verdict == Verdict.CONTINUE
        assert analysis.n_periods == 60
        assert after.status == ExperimentStatus.RUNNING

    def test_leaves_out_a_day_that_may_get_more(self, owner):
        made = running(owner)
        add_sums(made, returns(60), at=timezone.now())
        PeriodStatistic.objects.filter(experiment=made, arm__position=1).order_by("-period")[
            0
        ].delete()

        analysis, _ = look(made)

        assert analysis.n_periods == 58  # up to the day before the newest of the arm behind

    def test_waits_for_no_arm_that_has_fallen_silent(self, owner):
        """A crashed challenger stops its own comparison, and nobody's guardrails."""
        made = running(owner, period="1min", analysis={"horizon_periods": 4000})
        add_sums(made, returns(60), at=timezone.now())
        behind = PeriodStatistic.objects.filter(experiment=made, arm__position=1)
        newest = behind.order_by("-period").values_list("pk", flat=True)[:20]
        behind.filter(pk__in=list(newest)).delete()
        behind.update(changed_at=timezone.now() - timedelta(minutes=10))

        analysis, _ = look(made)

        assert (analysis.n_periods, analysis.findings["n_seen"]) == (40, 59)
        assert any("Nothing has come of return of challenger" in one
                   for one in analysis.findings["notes"])  # fmt: skip

    def test_records_the_same_findings_once(self, owner):
        made = running(owner)
        add_sums(made, returns(60))

        first, _ = look(made)
        second, _ = look(made)

        assert first is not None
        assert second is None
        assert Analysis.objects.filter(experiment=made).count() == 1

    def test_ends_at_the_horizon(self, owner):
        made = running(owner)
        add_sums(made, returns(101))

        _, after = look(made)

        assert after.verdict == Verdict.INCONCLUSIVE

    def test_says_in_the_trail_which_guardrail_of_the_winner_is_open(self, owner):
        guard = {
            "name": "drawdown", "role": "guardrail", "direction": "decrease", "margin": 0.0002,
            "unit": "fraction",
        }  # fmt: skip
        primary = {"name": "return", "role": "primary", "unit": "fraction"}
        made = running(owner, metrics=[primary, guard])
        add_sums(made, returns(60, lift=0.003))
        add_sums(made, returns(60, seed=2), metric="drawdown")

        analysis, after = look(made)

        (drawdown,) = analysis.findings["metrics"][1]["comparisons"]
        interval = " to ".join(f"{100 * drawdown[end]:.3g} %" for end in ("lower", "upper"))
        event = AuditEvent.objects.filter(verb="experiments.experiment.concluded").get()
        assert event.reason == analysis.decision["reason"] == after.status_reason
        assert event.reason.endswith(
            f"Its guardrail drawdown is open: 95 % interval {interval}, "
            "and worse by 0.02 % is tolerated."
        )

    def test_only_notifies_where_the_plan_says_so(self, owner):
        made = running(owner, stopping={"on_answer": "notify"})
        add_sums(made, returns(60, lift=0.003))

        analysis, after = look(made)

        assert analysis.verdict == Verdict.WINNER
        assert after.status == ExperimentStatus.RUNNING

    def test_pauses_on_a_guardrail(self, owner):
        made = guarded(owner)
        add_sums(made, returns(60))
        add_sums(made, returns(60, lift=0.01), metric="drawdown")

        analysis, after = look(made)

        assert analysis.verdict == Verdict.GUARDRAIL_BREACHED
        assert after.status == ExperimentStatus.PAUSED
        assert "drawdown of challenger" in after.status_reason

    @pytest.mark.parametrize(
        ("on_guardrail", "status"),
        [("pause", ExperimentStatus.PAUSED), ("notify", ExperimentStatus.RUNNING)],
    )
    def test_pauses_on_a_guardrail_beside_a_mix_that_is_only_told(
        self, owner, on_guardrail, status
    ):
        made = guarded(
            owner, design="assigned",
            stopping={"on_mismatch": "notify", "on_guardrail": on_guardrail},
        )  # fmt: skip
        add_sums(made, returns(60), allocation=1)
        add_sums(made, returns(60, lift=0.01), metric="drawdown", allocation=1)
        for arm, n in zip(made.arms.order_by("position"), (600, 200), strict=True):
            ExposureCount.objects.create(experiment=made, arm=arm, allocation=1, shard=0, n=n)

        analysis, after = look(made)

        assert analysis.verdict == Verdict.RATIO_MISMATCH
        assert after.status == status
        assert "drawdown of challenger" in analysis.decision["reason"]

    def test_pauses_no_more_on_a_breach_that_a_person_took_back(self, owner):
        made = guarded(owner)
        add_sums(made, returns(60))
        add_sums(made, returns(60, lift=0.01), metric="drawdown")
        look(made)
        resumed = resume(made, owner)

        first, after = look(made)  # nothing new
        add_sums(made, returns(3), first=60)
        add_sums(made, returns(3, lift=0.01), metric="drawdown", first=60)
        second, later_on = look(made)

        assert [one["metric"] for one in resumed.acknowledged] == ["drawdown"]
        assert first is None
        assert second.verdict == Verdict.GUARDRAIL_BREACHED
        assert after.status == later_on.status == ExperimentStatus.RUNNING
        trail = AuditEvent.objects.get(verb="experiments.experiment.resumed")
        assert "Resumed despite drawdown of challenger" in trail.canonical
        assert (
            selectors.get_board(later_on)
            .notes[0]
            .startswith("Resumed despite drawdown of challenger")
        )

    def test_leaves_alone_whom_a_person_resumed_while_it_looked(self, owner):
        """It had read what was acknowledged before, and paused again on the same alarm."""
        made = guarded(owner)
        add_sums(made, returns(60))
        add_sums(made, returns(60, lift=0.01), metric="drawdown")
        moved = []

        def meanwhile():
            _, paused = look(made)
            resume(made, owner)
            moved.append(paused.status)
            connection.close()

        def watch(execute, sql, params, many, context):
            if "FROM experiments_periodstatistic" in sql and not moved:
                other = threading.Thread(target=meanwhile)
                other.start()
                other.join()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            _, after = look(made)

        assert moved == [ExperimentStatus.PAUSED]
        assert after.status == ExperimentStatus.RUNNING

    def test_pauses_again_once_it_is_shown_to_be_worse_than_was_thought(self, owner):
        made = guarded(owner, "drawdown", "slippage")
        for name, lift in (("return", 0.0), ("drawdown", 0.01), ("slippage", 0.0)):
            add_sums(made, returns(60, lift=lift), metric=name)
        look(made)
        resume(made, owner)
        for name, lift in (("return", 0.0), ("drawdown", 0.2), ("slippage", 0.0)):
            add_sums(made, returns(39, lift=lift), metric=name, first=60)

        _, worse = look(made)

        assert worse.status == ExperimentStatus.PAUSED

    def test_pauses_on_another_guardrail_than_the_one_taken_back(self, owner):
        made = guarded(owner, "drawdown", "slippage")
        for name, lift in (("return", 0.0), ("drawdown", 0.01), ("slippage", 0.0)):
            add_sums(made, returns(60, lift=lift), metric=name)
        look(made)
        resume(made, owner)
        PeriodStatistic.objects.filter(metric__name="slippage").delete()
        add_sums(made, returns(60, lift=0.01), metric="slippage")

        _, after = look(made)

        assert after.status == ExperimentStatus.PAUSED

    def test_leaves_a_paused_experiment_to_people(self, owner):
        made = running(owner)
        add_sums(made, returns(60, lift=0.003))
        services.pause_experiment(experiment_id=made.public_id, actor=owner, at=AT, reason="r")

        analysis, after = look(made)

        assert analysis.verdict == Verdict.WINNER
        assert after.status == ExperimentStatus.PAUSED

    def test_does_nothing_of_a_draft(self, owner):
        assert jobs.analyze_experiment(experiment_id=draft(owner).public_id) is None

    def test_takes_in_everything_once_it_is_concluded(self, owner):
        made = running(owner)
        add_sums(made, returns(60))
        services.conclude_experiment(
            experiment_id=made.public_id, actor=owner, at=AT, reason="r",
            verdict=Verdict.INCONCLUSIVE,
        )  # fmt: skip

        analysis, _ = look(made)

        assert analysis.n_periods == 60

    def test_says_on_the_row_why_there_is_none(self, owner, monkeypatch):
        made = running(owner)
        add_sums(made, returns(60))

        def broken(*_):
            raise ZeroDivisionError

        monkeypatch.setattr("experiments.plans.analysis.analyze", broken)
        with pytest.raises(ZeroDivisionError):
            jobs.analyze_experiment(experiment_id=made.public_id)

        after = Experiment.objects.get(pk=made.pk)
        assert after.analysis_problem["title"] == "The analysis failed unexpectedly"
        assert jobs.list_due() == []

    def test_moves_shares_to_the_better_arm(self, owner):
        made = running(
            owner, design="assigned",
            allocation={"policy": "thompson_normal", "refresh": "1s"},
            stopping={"on_answer": "notify", "on_mismatch": "notify"},
        )  # fmt: skip
        add_sums(made, returns(60, lift=0.01), allocation=1)

        look(made)

        assert weights_of(made)[-1] == pytest.approx([0.4, 0.6])
        assert AuditEvent.objects.filter(verb="experiments.experiment.reallocated").count() == 1

    def test_moves_the_shares_of_each_context_by_its_own_outcomes(self, owner):
        made = contextual(owner)
        add_sums(made, returns(60, lift=0.01), allocation=1)
        add_sums(made, returns(60, lift=-0.01), allocation=2)

        analysis, _ = look(made)

        found = made.allocations.order_by("number").values_list("number", "context", "weights")
        assert list(found)[2:] == [
            (3, "calm", pytest.approx([0.4, 0.6])), (4, "turbulent", pytest.approx([0.6, 0.4])),
        ]  # fmt: skip
        moved = AuditEvent.objects.filter(verb="experiments.experiment.reallocated")
        assert {json.loads(one.canonical)["after"]["context"] for one in moved} == {
            "calm", "turbulent",
        }  # fmt: skip
        assert [one["context"] for one in analysis.findings["contexts"]] == ["calm", "turbulent"]
        best = [one["comparisons"][0]["estimate"] for one in analysis.findings["contexts"]]
        assert best[0] > 0.005
        assert best[1] < -0.005

    def test_leaves_alone_a_context_that_has_no_outcomes(self, owner):
        made = contextual(owner)
        add_sums(made, returns(60, lift=0.01), allocation=1)

        look(made)

        assert [one.context for one in made.allocations.filter(cause="policy")] == ["calm"]

    def test_lets_a_person_change_one_context_meanwhile_and_decides_none(self, owner, monkeypatch):
        made = contextual(owner)
        add_sums(made, returns(60, lift=0.01), allocation=1)
        add_sums(made, returns(60, lift=0.01), allocation=2)
        decide = allocating.next_weights

        def as_a_person_acts(plan, table, previous, *, number):
            if number == 3:  # of the first context
                services.reallocate(
                    experiment_id=made.public_id, weights={"champion": 0.6, "challenger": 0.4},
                    actor=owner, at=AT + timedelta(hours=1), reason="a hunch",
                    context="turbulent",
                )  # fmt: skip
            return decide(plan, table, previous, number=number)

        monkeypatch.setattr(allocating, "next_weights", as_a_person_acts)
        look(made)

        assert weights_of(made) == [[0.5, 0.5], [0.5, 0.5], [0.6, 0.4]]

    def test_lets_stand_the_shares_that_a_person_has_given_meanwhile(self, owner, monkeypatch):
        made = running(
            owner, design="assigned", analysis={"horizon_periods": 400},
            allocation={"policy": "thompson_normal", "refresh": "1h", "max_step": 0.2},
        )  # fmt: skip
        add_sums(made, returns(60, lift=0.0005))
        decide = allocating.next_weights

        def as_a_person_acts(*args, **more):
            services.reallocate(
                experiment_id=made.public_id, weights={"champion": 0.6, "challenger": 0.4},
                actor=owner, at=AT + timedelta(hours=1), reason="a hunch",
            )  # fmt: skip
            return decide(*args, **more)

        monkeypatch.setattr(allocating, "next_weights", as_a_person_acts)
        look(made)

        assert weights_of(made) == [[0.5, 0.5], [0.6, 0.4]]

    def test_keeps_old_looks_that_decided_nothing_only_by_the_day(self, owner):
        made = running(owner, analysis={"horizon_periods": 1000})
        values = returns(60)
        for day in range(30):
            add_sums(made, values[day : day + 1], first=day)
            look(made)

        assert Analysis.objects.filter(experiment=made).count() == 20
        assert selectors.get_analysis(made).number == 30


class TestListDue:
    def test_names_what_has_something_new(self, owner):
        made, quiet = running(owner), running(owner)
        add_sums(made, returns(3))

        assert jobs.list_due() == [made.public_id]
        assert quiet.public_id not in jobs.list_due()

    def test_is_quiet_after_a_look(self, owner):
        made = running(owner)
        add_sums(made, returns(3))
        look(made)

        assert jobs.list_due() == []

    def test_names_it_again_when_more_comes(self, owner):
        made = running(owner)
        add_sums(made, returns(3))
        Experiment.objects.filter(pk=made.pk).update(
            analyzed_at=timezone.now() - timedelta(seconds=20)
        )
        assert jobs.list_due() == []

        add_sums(made, returns(3), first=3, at=timezone.now() - timedelta(seconds=25))

        assert jobs.list_due() == [made.public_id]  # stamped before the look, seen after it

    def test_names_it_every_minute_for_the_clock(self, owner):
        made = running(owner)
        add_sums(made, returns(3))
        Experiment.objects.filter(pk=made.pk).update(
            analyzed_at=timezone.now() - timedelta(seconds=61)
        )

        assert jobs.list_due() == [made.public_id]


class TestPeriodTable:
    def test_adds_shards_up(self, owner):
        made = running(owner)
        add_sums(made, [[1.0, 2.0]])
        PeriodStatistic.objects.filter(experiment=made).update(shard=3)
        add_sums(made, [[10.0, 20.0]])

        table = selectors.period_table(made.metrics.get().pk)

        np.testing.assert_array_equal(table.arm, [0, 1])
        np.testing.assert_array_equal(table.total, [11.0, 22.0])
        np.testing.assert_array_equal(table.n, [2.0, 2.0])


class TestBoard:
    def test_shows_a_draft(self, owner):
        board = selectors.get_board(selectors.get_experiment(draft(owner).public_id))

        assert board.headline == "Not started"
        assert "information ratio" in board.detectability

    def test_shows_what_was_found(self, owner):
        made = running(owner)
        add_sums(made, returns(60, lift=0.003))
        look(made)

        board = selectors.get_board(selectors.get_experiment(made.public_id))
        report = selectors.render_report(selectors.get_experiment(made.public_id))

        assert board.headline == "A winner: challenger"
        assert board.cards[0].drawing is not None
        assert "posterior" in dict(board.cards[0].drawings)
        assert "What was asked" in report
        assert "<script" not in report

    def test_shows_each_interval_with_the_confidence_that_holm_leaves_it(self, owner):
        arms = [{"name": "champion", "control": True}, {"name": "a"}, {"name": "b"}]
        made = running(owner, arms=arms, analysis={"horizon_periods": 100, "correction": "holm"})
        values = returns(60, n_arms=3)
        values[:, 2] += 0.01
        add_sums(made, values)
        look(made)

        (card,) = selectors.get_board(selectors.get_experiment(made.public_id)).cards
        report = selectors.render_report(selectors.get_experiment(made.public_id))

        assert [row.confidence for row in card.rows] == ["95 %", "97.5 %"]
        assert "intervals" not in card.about
        assert "<small>97.5 %</small>" in report
        assert "if it is not better" not in report

    def test_tells_on_the_command_line_why_nothing_is_concluded(self, owner):
        made = contextual(owner)
        add_sums(made, returns(120, lift=0.01), allocation=1)
        look(made)

        analysis = selectors.list_analyses(made).first()
        first = selectors.write_differences(selectors.get_experiment(made.public_id), analysis)[0]

        assert "; nothing is concluded: challenger and champion were compared in 0 in" in first

    def test_shows_each_context_with_its_shares_and_says_that_it_makes_no_winner(self, owner):
        made = contextual(owner)
        add_sums(made, returns(60, lift=0.01), allocation=1)
        add_sums(made, returns(60, lift=-0.01, seed=2), allocation=2)
        before = selectors.get_board(selectors.get_experiment(made.public_id))
        look(made)

        board = selectors.get_board(selectors.get_experiment(made.public_id))
        report = selectors.render_report(selectors.get_experiment(made.public_id))

        told = [(row.context, row.arm, row.share) for row in board.contexts]
        assert told == [
            ("calm", "champion", "40.0 %"), ("", "challenger", "60.0 %"),
            ("turbulent", "champion", "60.0 %"), ("", "challenger", "40.0 %"),
        ]  # fmt: skip
        assert [row.share for row in before.contexts] == ["50.0 %"] * 4
        assert {arm.share for arm in board.arms} == {"by regime"}
        assert [one.title for _, one in board.cost_drawings[:2]] == [
            "Shares of the arms where regime is calm",
            "Shares of the arms where regime is turbulent",
        ]
        assert "to the arm that looks best in each regime" in board.cost_text
        assert "it makes no winner" in report
        assert "with shares of its own for each regime (calm, turbulent)" in report
        assert report.count('id="ct-allocation-0-title"') == 1
        assert report.count('id="ct-allocation-1-title"') == 1

    def test_takes_no_more_queries_for_more_contexts(self, owner, django_assert_max_num_queries):
        plain, by_context = running(owner, design="assigned"), contextual(owner)
        with CaptureQueriesContext(connection) as asked:
            selectors.get_board(selectors.get_experiment(plain.public_id))

        with django_assert_max_num_queries(len(asked)):
            selectors.get_board(selectors.get_experiment(by_context.public_id))
