"""Verdicts: each rule of a plan, and which of them comes first."""

from dataclasses import replace

import pytest

from experiments.plans import Comparison, Findings, MetricFindings, Mismatch, Verdict
from experiments.plans.decisions import decide


def compared(lower, upper, arm="challenger") -> Comparison:
    estimate = None if lower is None else (lower + upper) / 2
    return Comparison(arm, "champion", 0.95, estimate, lower, upper)


def metric(*comparisons, role="primary", direction="increase", margin=None, name="return"):
    return MetricFindings(
        name, role, "mean", direction, "planned_sequence", (), comparisons, margin
    )


def found(*metrics, n=100, mismatch=None) -> Findings:
    return Findings(n, 500, 0, metrics, mismatch)


def verdict(findings, region=None, **settings):
    return decide(findings, control="champion", region_of_equivalence=region, **settings)


def breached():
    """Return a guardrail that is shown to be worse than its margin."""
    return metric(
        compared(0.3, 0.9), role="guardrail", direction="decrease", margin=0.1, name="drawdown"
    )


def withheld():
    return Comparison(
        "challenger", "champion", 0.95, estimate=0.4, because="Nothing holds.", is_withheld=True
    )


class TestDecide:
    def test_waits_where_intervals_are_withheld_at_the_horizon(self):
        """What is missing may come; an experiment that is over never goes on."""
        seen = found(metric(withheld()), n=500)

        at_first = verdict(replace(seen, n_seen=999))
        at_last = verdict(replace(seen, n_seen=1000))

        assert at_first.verdict == Verdict.CONTINUE
        assert at_last.verdict == Verdict.INCONCLUSIVE
        assert at_last.reason == (
            "500 periods were planned; after 1,000 periods with outcomes no interval would hold."
        )

    def test_says_that_the_plan_is_over_while_an_answer_waits(self):
        said = verdict(replace(found(metric(withheld()), n=500), n_seen=930))

        assert said.reason == ("The 500 planned periods are over; no answer so far. Nothing holds.")

    def test_concludes_nothing_from_an_interval_that_is_withheld(self):
        surely = replace(compared(0.1, 0.5), because="None came in turbulent.", is_withheld=True)

        early = verdict(found(metric(surely)), region=1.0)
        at_the_end = verdict(found(metric(surely), n=500), region=1.0)

        assert early.verdict == Verdict.CONTINUE
        assert early.reason.endswith("no answer so far. None came in turbulent.")
        assert at_the_end.verdict == Verdict.INCONCLUSIVE
        assert at_the_end.reason == (
            "The 500 planned periods are over without an answer. None came in turbulent."
        )

    @pytest.mark.parametrize(
        ("lower", "upper", "status"), [(-0.1, 0.1, "open"), (0.3, 0.9, "breached")]
    )
    def test_lets_a_withheld_guardrail_breach_and_never_hold(self, lower, upper, status):
        one = replace(compared(lower, upper), because="None came.", is_withheld=True)
        guard = metric(one, role="guardrail", direction="decrease", margin=0.2, name="drawdown")

        (state,) = verdict(found(metric(compared(-0.1, 0.5)), guard)).guardrails

        assert state.status == status
        assert state.because == ("None came." if status == "open" else "")

    def test_prefers_a_winner_that_breached_nothing(self):
        primary = metric(compared(0.1, 0.5, "a"), compared(0.2, 0.9, "b"))
        guard = metric(
            compared(-0.1, 0.05, "a"), compared(0.3, 0.9, "b"), role="guardrail",
            direction="decrease", margin=0.1, name="drawdown",
        )  # fmt: skip

        said = verdict(found(primary, guard), goes_on_after_breach=True)

        assert (said.verdict, said.winner) == (Verdict.WINNER, "a")

    def test_goes_on_while_the_interval_holds_0(self):
        assert verdict(found(metric(compared(-1.0, 1.0)))).verdict == Verdict.CONTINUE

    def test_goes_on_without_an_interval(self):
        assert verdict(found(metric(compared(None, None)))).verdict == Verdict.CONTINUE

    def test_names_the_best_of_several_winners(self):
        said = verdict(found(metric(compared(0.1, 0.5, "a"), compared(0.2, 0.9, "b"))))

        assert (said.verdict, said.winner) == (Verdict.WINNER, "b")
        assert said.ends
        assert "b has more return than champion" in said.reason

    def test_names_the_control_when_all_others_are_worse(self):
        said = verdict(found(metric(compared(-0.5, -0.1, "a"), compared(-0.9, -0.2, "b"))))

        assert (said.verdict, said.winner) == (Verdict.WINNER, "champion")

    def test_goes_on_when_only_some_are_worse(self):
        said = verdict(found(metric(compared(-0.5, -0.1, "a"), compared(-0.9, 0.2, "b"))))

        assert said.verdict == Verdict.CONTINUE

    @pytest.mark.parametrize(
        ("interval", "direction", "winner", "says"),
        [
            ((-0.1, 0.3), "increase", "challenger", "no worse than champion on return by 0.2 or"),
            ((0.1, 0.3), "increase", "challenger", "challenger has more return than champion"),
            ((-0.15, -0.05), "increase", "challenger", "no worse"),
            ((-0.9, -0.3), "increase", "champion", "worse than champion on return by more than"),
            ((-0.3, 0.1), "decrease", "challenger", "no worse"),
            ((0.3, 0.9), "decrease", "champion", "by more than the margin"),
        ],
    )
    def test_asks_for_no_more_than_being_no_worse(self, interval, direction, winner, says):
        said = verdict(found(metric(compared(*interval), direction=direction, margin=0.2)))

        assert (said.verdict, said.winner) == (Verdict.WINNER, winner)
        assert says in said.reason

    @pytest.mark.parametrize("interval", [(-0.3, 0.1), (-0.5, -0.1)])
    def test_goes_on_while_that_is_open(self, interval):
        said = verdict(found(metric(compared(*interval), margin=0.2)))

        assert said.verdict == Verdict.CONTINUE

    def test_turns_with_the_direction(self):
        said = verdict(found(metric(compared(-0.5, -0.1), direction="decrease")))

        assert (said.verdict, said.winner) == (Verdict.WINNER, "challenger")

    def test_answers_beside_a_breach_that_is_only_told(self):
        findings = found(metric(compared(0.1, 0.5)), breached())

        assert verdict(findings).verdict == Verdict.GUARDRAIL_BREACHED
        said = verdict(findings, goes_on_after_breach=True)

        assert (said.verdict, said.winner) == (Verdict.WINNER, "challenger")
        assert said.reason.startswith("Worse than its margin: drawdown of challenger.")
        open_ = found(metric(compared(-0.1, 0.5)), breached())
        assert verdict(open_, goes_on_after_breach=True).verdict == Verdict.GUARDRAIL_BREACHED

    def test_says_of_which_guardrail_nothing_is_known(self):
        guard = metric(compared(None, None), role="guardrail", margin=0.1, name="drawdown")

        said = verdict(found(metric(compared(0.1, 0.5)), guard))

        assert said.verdict == Verdict.WINNER
        assert said.reason.endswith("Nothing is known of its guardrail drawdown.")

    def test_says_why_a_guardrail_has_no_interval(self):
        guard = metric(
            replace(compared(None, None), estimate=0.04, because="No interval yet."),
            role="guardrail", margin=0.1, name="drawdown",
        )  # fmt: skip

        said = verdict(found(metric(compared(0.1, 0.5)), guard))

        assert said.reason.endswith(
            "Its guardrail drawdown is open: difference 0.04, without an interval, and worse by "
            "0.1 is tolerated. No interval yet."
        )

    @pytest.mark.parametrize(
        ("unit", "interval", "margin"),
        [("fraction", "-10 % to 40 %", "20 %"), ("bps", "-0.1 bps to 0.4 bps", "0.2 bps")],
    )
    def test_says_which_guardrail_of_a_winner_is_open(self, unit, interval, margin):
        guard = metric(
            compared(-0.1, 0.4), role="guardrail", direction="decrease", margin=0.2,
            name="drawdown",
        )  # fmt: skip
        held = metric(compared(-0.1, 0.1), role="guardrail", direction="decrease", margin=0.2,
                      name="turnover")  # fmt: skip

        said = verdict(found(metric(compared(0.1, 0.5)), guard, held), units={"drawdown": unit})

        assert said.verdict == Verdict.WINNER
        assert said.reason.endswith(
            f"Its guardrail drawdown is open: 95 % interval {interval}, "
            f"and worse by {margin} is tolerated."
        )
        assert "turnover" not in said.reason

    def test_says_nothing_of_the_guardrails_of_others(self):
        """The control is what guardrails are measured from; a loser's are no news of the winner."""
        guard = metric(
            compared(-0.1, 0.4, "b"), role="guardrail", direction="decrease", margin=0.2,
            name="drawdown",
        )  # fmt: skip
        primary = metric(compared(0.1, 0.5, "a"), compared(-0.5, 0.5, "b"))

        assert "drawdown" not in verdict(found(primary, guard)).reason

    @pytest.mark.parametrize(
        ("kind", "unit", "said"),
        [
            ("mean", "fraction", "0.0746 %, 95 % interval 0.00463 % to 0.144 %."),
            ("mean", "bps", "0.000746 bps, 95 % interval 4.63e-05 bps to 0.00144 bps."),
            ("proportion", "", "0.0746 pp, 95 % interval 0.00463 pp to 0.144 pp."),
        ],
    )
    def test_writes_values_in_the_unit_of_the_metric(self, kind, unit, said):
        one = replace(compared(0.0000463, 0.00144), estimate=0.000746)
        primary = replace(metric(one), kind=kind)

        reason = verdict(found(primary), units={"return": unit}).reason

        assert reason == f"challenger has more return than champion: {said}"

    def test_writes_the_region_of_equivalence_in_the_unit_too(self):
        inside = found(metric(compared(-0.01, 0.02)))

        said = verdict(inside, region=0.05, units={"return": "fraction"})

        assert said.reason == "No difference of return is larger than 5 %."

    def test_waits_no_longer_than_twice_the_plan_for_periods_to_compare(self):
        findings = found(metric(compared(-1.0, 1.0)))

        assert verdict(replace(findings, n_seen=999)).verdict == Verdict.CONTINUE
        said = verdict(replace(findings, n_seen=1000))

        assert said.verdict == Verdict.INCONCLUSIVE
        assert "Of 1,000 periods with outcomes 100 could be compared" in said.reason

    def test_says_that_there_is_no_difference(self):
        inside = found(metric(compared(-0.01, 0.02)))

        assert verdict(inside, region=0.05).verdict == Verdict.NO_DIFFERENCE
        assert verdict(inside, region=0.015).verdict == Verdict.CONTINUE
        assert verdict(inside).verdict == Verdict.CONTINUE

    def test_a_difference_that_matters_to_nobody_is_none(self):
        tiny = found(metric(compared(0.001, 0.002)))

        assert verdict(tiny, region=0.05).verdict == Verdict.NO_DIFFERENCE
        assert verdict(tiny).verdict == Verdict.WINNER

    def test_ends_at_the_horizon(self):
        assert verdict(found(metric(compared(-1.0, 1.0)), n=500)).verdict == Verdict.INCONCLUSIVE

    @pytest.mark.parametrize(
        ("lower", "upper", "direction", "status"),
        [
            (0.3, 0.9, "decrease", "breached"),
            (-0.9, -0.3, "increase", "breached"),
            (-0.1, 0.1, "decrease", "held"),
            (-0.1, 0.4, "decrease", "open"),
            (None, None, "decrease", "open"),
        ],
    )
    def test_asks_guardrails_first(self, lower, upper, direction, status):
        guard = metric(
            compared(lower, upper),
            role="guardrail",
            direction=direction,
            margin=0.2,
            name="drawdown",
        )

        said = verdict(found(metric(compared(0.1, 0.5)), guard))

        assert [state.status for state in said.guardrails] == [status]
        expected = Verdict.GUARDRAIL_BREACHED if status == "breached" else Verdict.WINNER
        assert said.verdict == expected
        assert said.pauses is (status == "breached")

    def test_asks_for_the_mix_of_units_before_all(self):
        wrong = Mismatch(1e-6, {"champion": 10}, {"champion": 90.0}, is_mismatch=True)

        said = verdict(found(metric(compared(0.1, 0.5)), mismatch=wrong))

        assert said.verdict == Verdict.RATIO_MISMATCH
        assert said.pauses

    def test_names_a_breach_beside_the_mix_of_units(self):
        wrong = Mismatch(1e-6, {"champion": 10}, {"champion": 90.0}, is_mismatch=True)

        said = verdict(found(metric(compared(0.1, 0.5)), breached(), mismatch=wrong))

        assert said.verdict == Verdict.RATIO_MISMATCH
        assert "Units did not come to the arms as allocated" in said.reason
        assert "Worse than its margin: drawdown of challenger." in said.reason


class TestDecideOnSeveralMetrics:
    """Two primary metrics, more return and less cost being better; two challengers."""

    @staticmethod
    def said(b, c, needs="any"):
        """Return the decision on the intervals of b and c, each on return and on cost."""
        arms = [compared(*own, arm=arm) for arm, own in (("b", b[0]), ("c", c[0]))]
        costs = [compared(*own, arm=arm) for arm, own in (("b", b[1]), ("c", c[1]))]
        primaries = [metric(*arms), metric(*costs, name="cost", direction="decrease")]
        return verdict(found(*primaries), winner_needs=needs)

    OPEN, UP, DOWN, UNKNOWN = (-0.1, 0.2), (0.1, 0.5), (-0.5, -0.1), (None, None)

    def test_any_takes_one_that_is_better_and_none_that_is_worse(self):
        decision = self.said((self.UP, self.OPEN), (self.OPEN, self.OPEN))

        assert (decision.verdict, decision.winner) == (Verdict.WINNER, "b")
        assert decision.won_on == ("return",)
        assert decision.to_dict()["won_on"] == ("return",)
        assert decision.reason == (
            "b has more return than champion: 0.3, 95 % interval 0.1 to 0.5. "
            "No difference of cost is shown: 0.05, 95 % interval -0.1 to 0.2."
        )

    def test_names_the_one_that_is_better_on_most(self):
        decision = self.said((self.UP, self.OPEN), (self.UP, self.DOWN))

        assert (decision.winner, decision.won_on) == ("c", ("return", "cost"))

    def test_has_no_winner_that_pays_with_another_metric(self):
        decision = self.said((self.UP, self.UP), (self.OPEN, self.OPEN))

        assert decision.verdict == Verdict.CONTINUE
        assert decision.reason.endswith(
            "b is better than champion on return and worse on cost: that makes no winner."
        )

    def test_waits_until_every_metric_is_known(self):
        """What is not looked at yet may still be worse."""
        decision = self.said((self.UP, self.UNKNOWN), (self.OPEN, self.OPEN))

        assert decision.verdict == Verdict.CONTINUE

    def test_all_takes_every_metric(self):
        half = self.said((self.UP, self.OPEN), (self.OPEN, self.OPEN), "all")
        whole = self.said((self.UP, self.DOWN), (self.OPEN, self.OPEN), "all")

        assert half.verdict == Verdict.CONTINUE
        assert (whole.verdict, whole.winner) == (Verdict.WINNER, "b")

    def test_the_control_wins_by_the_same_rule(self):
        worse = (self.DOWN, self.OPEN), (self.OPEN, self.UP)

        decision = self.said(*worse)

        assert (decision.winner, decision.won_on) == ("champion", ())
        assert decision.reason == (
            "Every challenger is worse than champion, and on no primary metric better: "
            "b on return; c on cost."
        )
        assert self.said(*worse, "all").verdict == Verdict.CONTINUE

    def test_says_nothing_more_of_a_single_one(self):
        decision = verdict(found(metric(compared(0.1, 0.5))))

        assert "won_on" not in decision.to_dict()
