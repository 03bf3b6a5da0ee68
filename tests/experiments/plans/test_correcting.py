"""Corrections of plans: the same as other people's, and no more found by chance than is said."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from experiments.plans import ExperimentPlan
from experiments.plans.analysis import analyze
from experiments.plans.correcting import corrected_findings
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.statistics.sequential.boundaries import MixtureBoundary
from experiments.statistics.sequential.evidence import discoveries
from experiments.statistics.sequential.running import RunningMean, student_reach
from experiments.statistics.sequential.sequences import asymptotic_sequence
from experiments.statistics.summaries import PeriodTable

DAY = 86_400_000_000_000
FIXED = {"method": "fixed_horizon", "horizon_periods": 60}
FOR_EVER = {"method": "asymptotic", "horizon_periods": 120, "batch_periods": 1}


def planned(n_challengers, n_primaries=1, **analysis) -> ExperimentPlan:
    arms = [{"name": f"arm-{at}", "control": at == 0} for at in range(n_challengers + 1)]
    metrics = [{"name": f"m-{at}", "role": "primary"} for at in range(n_primaries)]
    document = {
        "name": "x", "hypothesis": "h", "arms": arms, "metrics": metrics,
        "analysis": {**FIXED, **analysis},
    }  # fmt: skip
    return ExperimentPlan.model_validate(document)


def table_of(made) -> PeriodTable:
    period, arm = (index.ravel() for index in np.indices(made.shape))
    return PeriodTable.of_outcomes(period * DAY, arm, made.ravel())


def drawn(plan, lifts, seed, *, opposed=False):
    """Return what was observed of arms that make so much more, by metric and challenger.

    With `opposed` what is a gain on one metric is a loss on the next.
    """
    rng = np.random.default_rng(seed)
    n_periods, n_arms = plan.analysis.horizon_periods, len(plan.arms)
    noise, tables = rng.standard_normal((n_periods, n_arms)), {}
    for at, (metric, own) in enumerate(zip(plan.metrics, lifts, strict=True)):
        if opposed:
            noise = -noise if at else noise
        elif at:
            noise = rng.standard_normal((n_periods, n_arms))
        made = noise + 0.0
        made[:, 1:] += own
        tables[metric.name] = table_of(made)
    return Observed(tables)


def is_found(one):
    return one.lower > 0.0 or one.upper < 0.0


def found_of(plan, observed):
    return np.array(
        [[is_found(one) for one in metric.comparisons]
         for metric in corrected_findings(plan, observed)]
    )  # fmt: skip


def at_most(rate, n):
    return rate + 2.5 * np.sqrt(rate * (1.0 - rate) / n)


class TestDunnett:
    def test_is_narrower_than_bonferroni_and_wider_than_none(self):
        observed = drawn(planned(3), [[0.0, 0.0, 0.0]], seed=1)

        widths = [
            one.upper - one.lower
            for correction in ("none", "dunnett", "bonferroni")
            for one in corrected_findings(planned(3, correction=correction), observed)[
                0
            ].comparisons[:1]
        ]

        assert all(narrow < wide for narrow, wide in pairwise(widths))

    def test_is_as_sure_as_scipys_on_arms_that_share_only_their_control(self):
        plan = planned(3, correction="dunnett", horizon_periods=2_000)
        observed = drawn(plan, [[0.0, 0.0, 0.0]], seed=4)
        made = observed.tables["m-0"].pivot("total", 4)[1]
        rng = np.random.default_rng(1)
        theirs = stats.dunnett(*made[:, 1:].T, control=made[:, 0], rng=rng)
        high = theirs.confidence_interval(0.95).high
        error = np.sqrt(made.var(axis=0, ddof=1).mean() * 2.0 / 2_000)
        reach = (high[0] - (made[:, 1].mean() - made[:, 0].mean())) / error

        found = corrected_findings(plan, observed)[0].comparisons[0]

        assert found.confidence == pytest.approx(2.0 * stats.norm.cdf(reach) - 1.0, abs=0.003)

    def test_is_bonferroni_before_there_are_differences(self):
        plan = planned(3, correction="dunnett")

        found = corrected_findings(plan, Observed({"m-0": table_of(np.ones((4, 4)))}))

        assert found[0].comparisons[0].confidence == pytest.approx(1.0 - 0.05 / 3)

    def test_leaves_each_of_several_primary_metrics_its_part(self):
        plan = planned(2, 2, correction="dunnett")
        alone = planned(2, 1, correction="dunnett", confidence=0.975)
        observed = drawn(plan, [[0.0, 0.0]] * 2, seed=5)

        both, one = (corrected_findings(some, observed)[0].comparisons for some in (plan, alone))

        assert both[0].confidence == pytest.approx(one[0].confidence)

    @pytest.mark.slow
    def test_finds_something_by_chance_as_often_as_is_said(self):
        plan, n = planned(3, correction="dunnett"), 200

        n_found = sum(
            found_of(plan, drawn(plan, [[0.0] * 3], seed)).any() for seed in range(n)
        )  # fmt: skip

        assert 0.05 - 2.5 * np.sqrt(0.05 * 0.95 / n) <= n_found / n <= at_most(0.05, n)


class TestBenjaminiHochberg:
    @pytest.mark.parametrize("seed", range(6))
    def test_finds_what_statsmodels_finds(self, seed):
        lifts = [[0.5, 0.4, 0.3, 0.0], [0.3, 0.0, 0.0, 0.45]]
        plan = planned(4, 2, correction="benjamini_hochberg")
        observed = drawn(plan, lifts, seed)

        found = corrected_findings(plan, observed)

        comparisons = [one for metric in found for one in metric.comparisons]
        rejected, *_ = multipletests([one.p_value for one in comparisons], 0.05, "fdr_bh")
        assert [is_found(one) for one in comparisons] == rejected.tolist()
        k = max(1, int(rejected.sum()))
        assert [one.confidence for one in comparisons] == pytest.approx([1.0 - k * 0.05 / 8] * 8)

    def test_finds_more_than_holm(self):
        lifts = [[0.6, 0.5, 0.45, 0.45, 0.4]]
        plans = [planned(5, correction=name) for name in ("holm", "benjamini_hochberg")]

        n_holm, n_stepped = (
            sum(found_of(plan, drawn(plan, lifts, seed)).sum() for seed in range(10))
            for plan in plans
        )

        assert n_stepped > n_holm

    @pytest.mark.slow
    @pytest.mark.parametrize("opposed", [False, True])
    def test_keeps_the_share_of_false_ones(self, opposed):
        plan, n = planned(3, 2, correction="benjamini_hochberg"), 150
        lifts = [[1.0, 0.6, 0.0], [0.0, 0.0, 0.0]]
        is_true = np.array(lifts) > 0.0
        shares = []
        for seed in range(n):
            found = found_of(plan, drawn(plan, lifts, seed, opposed=opposed))
            shares.append((found & ~is_true).sum() / max(1, found.sum()))

        bound = 0.05 + 2.5 * np.std(shares) / np.sqrt(n)
        assert np.mean(shares) <= bound


class TestEvidence:
    @pytest.mark.parametrize("seed", range(4))
    def test_finds_what_the_e_values_of_now_find(self, seed):
        """Wang and Ramdas's rule on the mixture's e-values at the newest look."""
        plan = planned(4, correction="benjamini_hochberg", **FOR_EVER)
        observed = drawn(plan, [[0.7, 0.5, 0.45, 0.0]], seed)
        made = observed.tables["m-0"].pivot("total", 5)[1]
        logs = [
            asymptotic_sequence(
                made[:, at] - made[:, 0], best_at=60.0, confidence=1.0 - 0.05 / 4, start=25
            ).log_e_values[-1]
            for at in range(1, 5)
        ]

        found = found_of(plan, observed)[0]

        assert found.tolist() == discoveries(logs, 0.05).tolist()

    def test_of_a_ratio_is_one_bet_whatever_it_is_held_against(self):
        """Each level had a bet of its own, and intervals that were stepped up were no e-values."""
        plan = planned(4, correction="benjamini_hochberg", **FOR_EVER)
        (mean,) = plan.metrics
        plan = plan.model_copy(update={"metrics": [mean.model_copy(update={"kind": "ratio"})]})
        table = drawn(plan, [[0.9, 0.8, 0.45, 0.0]], 3).tables["m-0"]
        made = table.pivot("total", 5)[1]
        rho = MixtureBoundary.tuned(1.0 - 0.05 / 4, 60.0).rho

        found = corrected_findings(plan, Observed({"m-0": replace(table, x_total=table.n)}))[0]

        assert found.comparisons[0].confidence > 0.95
        assert found.comparisons[0].confidence < 1.0 - 0.05 / 4  # it was stepped up
        for at, one in enumerate(found.comparisons, start=1):
            seen = RunningMean(1, 1).extend(made[:, at] - made[:, 0])
            reach = MixtureBoundary(one.confidence, rho).reach(np.array([120]))
            half = student_reach(reach, seen.freedom[-1:])[0] * seen.error[-1]
            assert one.upper - one.lower == pytest.approx(2.0 * half)

    def test_takes_evidence_back_that_is_lost_again(self):
        plan = planned(1, correction="benjamini_hochberg", **FOR_EVER)
        made = np.random.default_rng(2).standard_normal((120, 2))
        made[:60, 1] += 1.5
        made[60:, 1] -= 1.5

        early, late = (
            found_of(plan, Observed({"m-0": table_of(made[:n])}))[0, 0] for n in (60, 120)
        )

        assert early
        assert not late

    @pytest.mark.slow
    def test_keeps_the_share_of_false_ones_whenever_one_stops(self):
        """Whoever looks after every period and stops at the first discovery."""
        rng, n, k, shares = np.random.default_rng(7), 200, 5, []
        boundary = MixtureBoundary.tuned(1.0 - 0.05 / k, 100.0)
        for _ in range(n):
            made = rng.standard_normal((200, k + 1))
            logs = np.array(
                [asymptotic_sequence(
                    made[:, at] - made[:, 0] + (0.25 if at == 1 else 0.0), best_at=100.0,
                    confidence=boundary.confidence, start=25,
                ).log_e_values[24:]
                 for at in range(1, k + 1)]
            )  # fmt: skip
            best = np.flatnonzero((logs >= np.log(k / 0.05)).any(axis=0))
            found = discoveries(logs[:, best[0]] if best.size else logs[:, -1], 0.05)
            shares.append(found[1:].sum() / max(1, found.sum()))

        assert np.mean(shares) <= 0.05 + 2.5 * np.std(shares) / np.sqrt(n)


class TestSeveralPrimaryMetrics:
    @pytest.mark.slow
    @pytest.mark.parametrize("correction", ["bonferroni", "holm", "dunnett", "benjamini_hochberg"])
    def test_name_a_winner_by_chance_no_more_often_than_is_said(self, correction):
        plan, n = planned(2, 2, correction=correction), 150

        n_won = 0
        for seed in range(n):
            findings = analyze(plan, drawn(plan, [[0.0, 0.0]] * 2, seed))
            n_won += decide(findings, control="arm-0").winner != ""

        assert n_won / n <= at_most(0.05, n)

    @pytest.mark.slow
    def test_name_a_winner_by_chance_no_more_often_at_any_look(self):
        plan = planned(
            2, 2, correction="holm", method="planned_sequence", horizon_periods=110,
            batch_periods=1,
        )  # fmt: skip
        n = 120

        n_found = sum(
            found_of(plan, drawn(plan, [[0.0, 0.0]] * 2, seed)).any() for seed in range(n)
        )

        assert n_found / n <= at_most(0.05, n)

    @pytest.mark.slow
    @pytest.mark.parametrize("correction", ["bonferroni", "holm"])
    def test_name_no_winner_of_all_by_chance(self, correction):
        """The worst case: each challenger is far better on one metric and like the control else.

        Either may be found on its other metric; what one is settled on must not help the other.
        """
        plan, n = planned(2, 2, correction=correction, winner_needs="all"), 200
        n_won = 0
        for seed in range(n):
            found = analyze(plan, drawn(plan, [[5.0, 0.0], [0.0, 5.0]], seed))
            n_won += decide(found, control="arm-0", winner_needs="all").winner != ""

        assert n_won / n <= at_most(0.05, n)
