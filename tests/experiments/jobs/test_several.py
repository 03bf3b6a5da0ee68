"""Several primary metrics, from outcomes to the page, the command line and the registry."""

import json

import pytest
from django.core.management import call_command

from experiments import jobs, selectors
from experiments.jobs.handing import figures_of
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from experiments.plans import Verdict
from tests.factories.accounts import account
from tests.factories.experiments import add_sums, returns, running

pytestmark = pytest.mark.django_db(transaction=True)
METRICS = [
    {"name": "return", "role": "primary", "unit": "fraction"},
    {"name": "cost", "role": "primary", "direction": "decrease"},
]


def analyzed(cost_lift, **analysis):
    """Return an experiment whose challenger has more return, and so much more cost."""
    made = running(
        account(),
        metrics=METRICS,
        analysis={"horizon_periods": 100, "correction": "holm", **analysis},
    )
    add_sums(made, returns(60, lift=0.004))
    add_sums(made, returns(60, lift=cost_lift, seed=7), metric="cost")
    jobs.analyze_experiment(experiment_id=made.public_id)
    return Experiment.objects.get(pk=made.pk)


class TestSeveralPrimaryMetrics:
    def test_conclude_with_the_metrics_that_were_won(self, capsys):
        made = analyzed(-0.004)

        last = selectors.list_analyses(made).first()
        assert (made.status, made.verdict, made.winner) == (
            ExperimentStatus.CONCLUDED, Verdict.WINNER, "challenger"
        )  # fmt: skip
        assert last.decision["won_on"] == ["return", "cost"]
        assert "challenger has more return than champion" in made.status_reason
        assert "challenger has less cost than champion" in made.status_reason
        board = selectors.get_board(made)
        assert board.rule == (
            "return and cost, on one of which at least a winner is better, and on none worse"
        )
        assert f"the answer is read off {board.rule}" in selectors.render_report(made)
        call_command("show_experiment", made.name, "--json")
        assert json.loads(capsys.readouterr().out)["primary_metrics"] == ["return", "cost"]
        call_command("show_experiment", made.name)
        assert "answer; a winner needs any" in capsys.readouterr().out

    def test_go_on_where_one_pays_with_another(self):
        made = analyzed(0.004)

        last = selectors.list_analyses(made).first()
        assert made.status == ExperimentStatus.RUNNING
        assert "won_on" not in last.decision
        assert last.decision["reason"].endswith(
            "challenger is better than champion on return and worse on cost: that makes no winner."
        )

    def test_all_waits_for_the_other(self):
        assert analyzed(0.0, winner_needs="all").status == ExperimentStatus.RUNNING
        assert analyzed(0.0).winner == "challenger"

    def test_are_counted_in_the_evidence(self):
        made = analyzed(0.004)
        last = selectors.list_analyses(made).first()
        control, challenger = made.arms.order_by("position")

        figures = figures_of(challenger, last.findings, last.decision)

        assert (figures["n_primaries_better"], figures["n_primaries_worse"]) == (1.0, 1.0)
        assert figures["metric"] == "return"
        assert "n_primaries_better" not in figures_of(control, last.findings, last.decision)
