"""Corrections: how sure each interval must be, and that Holm finds no more by chance."""

import numpy as np
import pytest

from experiments.plans import ExperimentPlan
from experiments.plans.analysis import analyze
from experiments.plans.families import confidence_of
from experiments.plans.observed import Observed
from experiments.statistics.summaries import PeriodTable

METRICS = [
    {"name": "return", "role": "primary"}, {"name": "turnover"},
    {"name": "slippage", "kind": "quantile", "quantile": 0.9},
    {"name": "drawdown", "role": "guardrail", "margin": 0.5},
]  # fmt: skip


def planned(n_challengers=3, metrics=METRICS[:1], **analysis) -> ExperimentPlan:
    arms = [{"name": f"arm-{at}", "control": at == 0} for at in range(n_challengers + 1)]
    document = {
        "name": "x", "hypothesis": "h", "arms": arms, "metrics": metrics,
        "analysis": {"horizon_periods": 200, "batch_periods": 1, **analysis},
    }  # fmt: skip
    return ExperimentPlan.model_validate(document)


def table_of(lifts, seed=1, n_periods=200):
    """Return sums of returns of a control and challengers that make so much more."""
    made = np.random.default_rng(seed).standard_normal((n_periods, len(lifts) + 1))
    made[:, 1:] += lifts
    period, arm = (index.ravel() for index in np.indices(made.shape))
    return PeriodTable.of_outcomes(period * 86_400_000_000_000, arm, made.ravel())


class TestConfidenceOf:
    @pytest.mark.parametrize(
        ("asked", "n"),
        [
            ({}, [3, 3, 3, 3]), ({"correction": "none"}, [1, 1, 1, 1]),
            ({"correction": "holm"}, [3, 3, 3, 3]), ({"correction_over": "plan"}, [6, 6, 3, 3]),
            ({"correction": "none", "correction_over": "plan"}, [1, 1, 1, 1]),
        ],
    )  # fmt: skip
    def test_spends_the_chance_of_error_on_what_is_corrected_for_together(self, asked, n):
        plan = planned(metrics=METRICS, **asked)

        found = [confidence_of(plan, metric) for metric in plan.metrics]

        assert found == pytest.approx([1.0 - 0.05 / size for size in n])
        assert confidence_of(plan) == found[0]


class TestHolm:
    def test_gives_to_open_comparisons_what_settled_ones_no_longer_need(self):
        tables = {"return": table_of([2.0, 0.0, 0.0])}

        stepped = analyze(planned(correction="holm"), Observed(tables)).primary.comparisons
        flat = analyze(planned(), Observed(tables)).primary.comparisons

        assert [one.confidence for one in stepped] == pytest.approx(
            [1.0 - 0.05 / 3, 1.0 - 0.05 / 2, 1.0 - 0.05 / 2]
        )
        assert (stepped[0].lower, stepped[0].upper) == (flat[0].lower, flat[0].upper)
        widths = [[one.upper - one.lower for one in some] for some in (stepped, flat)]
        assert widths[0][1] < widths[1][1]

    def test_is_bonferroni_while_nothing_is_settled(self):
        tables = {"return": table_of([0.0, 0.0, 0.0])}

        stepped, flat = (
            analyze(planned(correction=name), Observed(tables)).primary
            for name in ("holm", "bonferroni")
        )

        assert stepped == flat

    def test_steps_over_metrics_where_they_are_corrected_for_together(self):
        plan = planned(1, METRICS[:2], correction="holm", correction_over="plan")
        tables = {"return": table_of([2.0]), "turnover": table_of([0.0], seed=2)}

        found = analyze(plan, Observed(tables)).metrics

        assert [one.comparisons[0].confidence for one in found] == pytest.approx([0.975, 0.95])

    @pytest.mark.slow
    def test_finds_no_more_by_chance(self):
        """One challenger is far better, two are not: any found of these is by chance."""
        plan, n_found = planned(correction="holm"), 0
        for seed in range(200):
            found = analyze(plan, Observed({"return": table_of([3.0, 0.0, 0.0], seed)}))
            n_found += any(
                one.lower > 0.0 or one.upper < 0.0 for one in found.primary.comparisons[1:]
            )

        assert n_found / 200 <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 200)
