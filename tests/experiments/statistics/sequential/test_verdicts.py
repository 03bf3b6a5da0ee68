import math

import numpy as np
import pytest

from experiments.statistics.errors import SettingsError
from experiments.statistics.sequential import Decision, Sequence, judge


def sequence(*intervals):
    lower, upper = np.array(intervals, dtype=float).T
    n = len(intervals)
    return Sequence(
        "by hand",
        0.95,
        np.arange(1, n + 1) * 10,
        np.zeros(n),
        lower,
        upper,
        np.full(n, math.nan),
    )


class TestJudge:
    def test_finds_the_treatment_better_at_the_first_look_that_says_so(self):
        verdict = judge(sequence((-2, 3), (0.5, 2), (-0.1, 1)))

        assert verdict.decision is Decision.TREATMENT
        assert (verdict.periods, verdict.lower, verdict.upper) == (20, 0.5, 2.0)
        assert verdict.because == (
            "the difference is above 0.5 (with 0.95 confidence, after 20 periods)"
        )

    @pytest.mark.parametrize(
        ("interval", "is_increase", "decision"),
        [
            ((0.5, 2), True, Decision.TREATMENT),
            ((0.5, 2), False, Decision.CONTROL),
            ((-2, -0.5), True, Decision.CONTROL),
            ((-2, -0.5), False, Decision.TREATMENT),
        ],
    )
    def test_knows_which_way_is_better(self, interval, is_increase, decision):
        assert judge(sequence(interval), is_increase=is_increase).decision is decision

    @pytest.mark.parametrize("interval", [(-0.05, 0.08), (0.02, 0.08)])
    def test_finds_no_difference_within_the_region(self, interval):
        assert judge(sequence((-1, 1), interval), region=0.1).decision is Decision.NO_DIFFERENCE

    def test_goes_on_without_a_horizon_and_ends_at_it(self):
        looks = sequence((-math.inf, math.inf), (-1, 1))

        going, ended = judge(looks), judge(looks, horizon=20)

        assert going.decision is Decision.CONTINUE
        assert not going.is_final
        assert ended.decision is Decision.INCONCLUSIVE
        assert ended.because == "at the horizon of 20 periods the difference is between -1 and 1"

    def test_decides_nothing_after_the_horizon(self):
        verdict = judge(sequence((-1, 1), (0.5, 2)), horizon=10)

        assert verdict.decision is Decision.INCONCLUSIVE
        assert (verdict.periods, verdict.upper) == (10, 1.0)

    def test_says_when_the_difference_drifts(self):
        verdict = judge(sequence((-1, 0.5), (-0.5, 0.1), (0.2, 0.6)))

        assert verdict.decision is Decision.INCONCLUSIVE
        assert "drifts" in verdict.because

    def test_can_judge_each_look_alone(self):
        looks = sequence((-1, 0.5), (-0.5, 0.1), (0.2, 0.6))

        assert judge(looks, is_running=False).decision is Decision.TREATMENT

    @pytest.mark.parametrize("seen", [(), ((-math.inf, math.inf),)])
    def test_continues_while_nothing_is_known(self, seen):
        looks = sequence(*seen) if seen else Sequence("none", 0.95, *(np.empty(0),) * 5)

        verdict = judge(looks, horizon=100)

        assert verdict.decision is Decision.CONTINUE
        assert "not yet known" in verdict.because

    @pytest.mark.parametrize("region", [-0.1, math.inf, math.nan])
    def test_refuses_a_region_that_is_none(self, region):
        with pytest.raises(SettingsError):
            judge(sequence((-1, 1)), region=region)
