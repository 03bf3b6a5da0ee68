"""What an experiment would have said: the platform's own rules, look by look."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.jobs import answering
from backtests.jobs.answering import (
    METRIC,
    answer,
    detectability_of,
    first_decision,
    pairing_of,
    plan_of,
    table_of,
)
from backtests.jobs.pairing import Paired
from crowetrade_site.core.errors import InvalidInput
from experiments.plans import Verdict
from experiments.plans.analysis import analyze
from experiments.plans.decisions import decide
from experiments.plans.observed import Observed
from experiments.statistics.power import years_to_detect

DAY = 86_400_000_000_000


def paired(returns: np.ndarray, labels: tuple[str, ...] = ("a", "b")) -> Paired:
    n = returns.shape[0]
    ends = (np.arange(1, n + 1) * DAY).astype(np.int64)
    return Paired(dict.fromkeys(labels), ends, returns, 0, dict.fromkeys(labels, n + 1))


def noise(n: int, shift: float, *, n_arms: int = 2, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0, 0.01, n)[:, None]
    own = rng.normal(0.0, 0.004, (n, n_arms))
    own[:, 1] += shift
    return market + own


def plan(n: int, labels: tuple[str, ...] = ("a", "b"), **section):
    return plan_of(section, labels, n_periods=n, seconds=86_400, seed=1)


class TestPlan:
    def test_has_as_many_periods_as_there_are(self):
        assert plan(321).analysis.horizon_periods == 321
        assert plan(321, horizon_periods=100).analysis.horizon_periods == 100

    def test_has_a_period_of_the_usual_length(self):
        for seconds, text in ((86_400, "1d"), (5_400, "90min"), (7_200, "2h"), (7, "7s")):
            made = plan_of({}, ("a", "b"), n_periods=50, seconds=seconds, seed=0)
            assert made.period == text

    def test_refuses_with_the_path_in_the_spec(self):
        with pytest.raises(InvalidInput, match=r"replay\.analysis\.methd: unknown key"):
            plan(100, methd="planned_sequence")


class TestAnswer:
    @pytest.mark.parametrize(
        "section",
        [
            {}, {"method": "asymptotic"}, {"method": "group_sequential"},
            {"batch_periods": 1, "minimum_periods": 30},
        ],
        ids=str,
    )  # fmt: skip
    def test_is_what_the_platform_would_have_said_that_day_and_not_before(self, section):
        given_plan, history = plan(800, **section), paired(noise(800, 0.0012))

        _, decision, n = answer(given_plan, history)

        assert (decision.verdict, decision.winner) == (Verdict.WINNER, "b")
        for until, ends in ((n, True), (n - 1, False)):
            past = replace(history, ends=history.ends[:until], returns=history.returns[:until])
            try:
                findings = analyze(given_plan, Observed({METRIC: table_of(given_plan, past)}))
            except ValueError:
                continue
            seen = decide(findings, control="a")
            assert seen.ends is ends
            if ends:
                assert (seen.winner, seen.reason) == (decision.winner, decision.reason)

    @pytest.mark.parametrize("method", ["planned_sequence", "asymptotic", "group_sequential"])
    def test_steps_down_as_the_platform_does(self, method):
        """Two challengers are soon shown to be worse; the third then needs less to be better."""
        lifts = np.array([0.0, -0.004, 0.0006, -0.004])
        returns = noise(800, 0.0, n_arms=4, seed=18) + lifts
        labels = ("a", "b", "c", "d")
        history = paired(returns, labels)
        holm, bonferroni = (
            plan(800, labels, method=method, correction=how) for how in ("holm", "bonferroni")
        )

        _, decision, n = answer(holm, history)

        assert n < first_decision(bonferroni, returns)[0]
        today, before = (
            decide(
                analyze(holm, Observed({METRIC: table_of(holm, replace(
                    history, ends=history.ends[:until], returns=returns[:until]
                ))})), control="a",
            )
            for until in (n, n - 1)
        )  # fmt: skip
        assert (decision.winner, decision.reason) == ("c", today.reason)
        assert not before.ends

    @pytest.mark.parametrize(
        "section",
        [{}, {"correction": "holm"}, {"method": "asymptotic", "correction": "benjamini_hochberg"}],
        ids=str,
    )
    def test_names_the_rivals_of_a_winner_as_the_platform_does(self, section):
        """The reason ended before them."""
        labels = ("a", "b", "c")
        history = paired(noise(800, 0.0, n_arms=3) + np.array([0.0, 0.001, 0.001]), labels)
        asked = plan(800, labels, **section)

        _, decision, n = answer(asked, history)

        past = replace(history, ends=history.ends[:n], returns=history.returns[:n])
        today = decide(analyze(asked, Observed({METRIC: table_of(asked, past)})), control="a")
        assert n < 800
        assert decision == today
        assert "Which is the best of all" in decision.reason

    @pytest.mark.parametrize("shift", [0.0006, 0.0003])
    @pytest.mark.parametrize("correction", ["dunnett", "benjamini_hochberg"])
    def test_has_the_platforms_one_look_at_the_end(self, correction, shift):
        labels = ("a", "b", "c", "d")
        history = paired(noise(500, shift, n_arms=4, seed=3), labels)
        asked = plan(500, labels, method="fixed_horizon", correction=correction)

        findings, decision, n = answer(asked, history)

        today = decide(analyze(asked, Observed({METRIC: table_of(asked, history)})), control="a")
        assert (n, decision) == (500, today)
        assert findings.primary.comparisons[0].confidence > 0.95
        assert first_decision(asked, history.returns[:499]) is None

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "section",
        [
            {"method": "fixed_horizon", "correction": "dunnett"},
            {"method": "fixed_horizon", "correction": "benjamini_hochberg"},
            {"method": "asymptotic", "correction": "benjamini_hochberg"},
        ],
        ids=str,
    )
    def test_names_a_winner_by_chance_no_more_often_than_is_said(self, section):
        labels, n = ("a", "b", "c", "d"), 150
        asked = plan(252, labels, **section)
        histories = [noise(252, 0.0, n_arms=4, seed=seed) for seed in range(n)]
        ended = [first_decision(asked, one) for one in histories]

        n_won = sum(one is not None and one[1].verdict == Verdict.WINNER for one in ended)

        assert n_won / n <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / n)

    def test_steps_up_by_evidence_as_the_platform_does(self):
        lifts = np.array([0.0, 0.0009, 0.0008, 0.0])
        labels = ("a", "b", "c", "d")
        history = paired(noise(800, 0.0, n_arms=4, seed=18) + lifts, labels)
        asked = plan(800, labels, method="asymptotic", correction="benjamini_hochberg")

        _, decision, n = answer(asked, history)

        today, before = (
            decide(
                analyze(asked, Observed({METRIC: table_of(asked, replace(
                    history, ends=history.ends[:until], returns=history.returns[:until]
                ))})), control="a",
            )
            for until in (n, n - 1)
        )  # fmt: skip
        assert (decision.verdict, decision.winner) == (Verdict.WINNER, today.winner)
        assert decision.reason == today.reason
        assert not before.ends
        looks, seen = answering._intervals(asked, history.returns)
        for at in range(0, looks.size, looks.size // 8):
            until = int(looks[at])
            past = replace(history, ends=history.ends[:until], returns=history.returns[:until])
            found = analyze(asked, Observed({METRIC: table_of(asked, past)})).primary.comparisons
            assert [one.confidence for one in found] == pytest.approx(
                [one.confidence[at] for one in seen.values()]
            )
            assert [one.lower for one in found] == pytest.approx(
                [answering._finite(one.lower[at]) for one in seen.values()]
            )

    @pytest.mark.parametrize("n_arms", [2, 3])
    @pytest.mark.parametrize(
        "section",
        [
            {}, {"region_of_equivalence": 0.0006},
            {"method": "group_sequential", "spending": "pocock", "futility": "stop"},
            {"correction": "holm"},
        ],
        ids=str,
    )  # fmt: skip
    def test_is_that_of_the_rules_at_every_look(self, section, n_arms, monkeypatch):
        labels = ("a", "b", "c")[:n_arms]
        histories = [noise(400, shift, n_arms=n_arms, seed=9) for shift in (0.0, 0.001, -0.001)]
        quick = [first_decision(plan(400, labels, **section), one) for one in histories]
        monkeypatch.setattr(answering, "_may_end", lambda _, looks, __: np.ones(looks.size, bool))

        assert quick == [first_decision(plan(400, labels, **section), one) for one in histories]

    def test_gives_up_at_a_look_that_makes_one_unlikely(self):
        section = {"method": "group_sequential", "futility": "stop"}

        found = [first_decision(plan(400, **section), noise(400, 0.0, seed=k)) for k in range(9)]

        given_up = [n for n, one in found if "futility bound" in one.reason]
        assert given_up
        assert set(given_up) <= {80, 160, 240, 320}

    def test_ends_without_one_at_the_horizon(self):
        _, decision, n = answer(plan(400), paired(noise(400, 0.0)))

        assert (decision.verdict, n) == (Verdict.INCONCLUSIVE, 400)

    def test_goes_on_where_the_horizon_is_not_reached(self):
        _, decision, n = answer(plan(400, horizon_periods=900), paired(noise(400, 0.0)))

        assert (decision.verdict, n) == (Verdict.CONTINUE, None)

    def test_keeps_the_control_where_it_is_better(self):
        _, decision, _ = answer(plan(800), paired(noise(800, -0.0015)))

        assert (decision.verdict, decision.winner) == (Verdict.WINNER, "a")

    def test_says_why_there_is_none_of_arms_that_are_the_same(self):
        one = noise(300, 0.0)[:, :1]

        findings, _, _ = answer(plan(300), paired(np.hstack([one, one])))

        assert findings.primary.comparisons[0].because

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 10_000))
    def test_does_not_depend_on_a_shock_that_all_arms_share(self, seed):
        returns = noise(200, 0.001, seed=seed)
        shock = np.random.default_rng(seed + 1).normal(0.0, 0.02, (200, 1))

        _, one, n = answer(plan(200), paired(returns))
        _, other, m = answer(plan(200), paired(returns + shock))

        assert (one.verdict, one.winner, n) == (other.verdict, other.winner, m)


class TestPairing:
    def test_is_worth_more_the_more_is_shared(self):
        row = pairing_of(paired(noise(2_000, 0.0)))[0]

        assert row["correlation"] == pytest.approx(0.01**2 / (0.01**2 + 0.004**2), abs=0.03)
        assert row["ratio"] == pytest.approx(np.sqrt(1 + 0.01**2 / 0.004**2), rel=0.2)

    def test_leaves_out_what_never_varies(self):
        returns = noise(300, 0.0)
        returns[:, 1] = 0.0

        row = pairing_of(paired(returns))[0]

        assert (row["correlation"], row["ratio"]) == (None, None)


class TestDetectability:
    def test_agrees_with_the_years_that_its_ratio_takes(self):
        history = paired(noise(2_000, 0.0005))

        row = detectability_of(plan(2_000), history, history.returns)[0]

        assert row["years_needed"] == pytest.approx(years_to_detect(row["information_ratio"]))
        ratio = row["detectable_difference"] / row["difference"]
        assert ratio**2 == pytest.approx(row["years_needed"] / history.years)

    def test_says_why_not(self):
        one = noise(300, 0.0)[:, :1]
        history = paired(np.hstack([one, one]))

        assert "do not vary" in detectability_of(plan(300), history, history.returns)[0]["because"]


class TestPlanOf:
    @pytest.mark.parametrize(
        ("section", "says"),
        [
            ({"method": "asymptotic", "correction": "dunnett"}, "dunnett is for one look"),
            ({"correction": "benjamini_hochberg"}, "planned_sequence has neither"),
            ({"prior": {"from": "concluded"}}, "a replay does not start.*prior_deviation instead"),
        ],
    )
    def test_refuses_what_no_replay_plays(self, section, says):
        with pytest.raises(InvalidInput, match=says):
            plan_of(section, ["a", "b", "c"], n_periods=500, seconds=86_400, seed=0)
