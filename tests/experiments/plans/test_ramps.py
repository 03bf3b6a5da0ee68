"""What a ramp costs, beside the variances worked out period by period."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from experiments.plans import ExperimentPlan
from experiments.plans.ramps import cost_of_ramp, ramp_note
from tests.factories.experiments import plan as document

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)


def plan(*steps, horizon=500):
    ramp = [{"at": BEGIN + timedelta(hours=hour), "share": share} for hour, share in steps]
    return ExperimentPlan.model_validate(
        document(
            design="assigned", period="1h", assignment={"ramp": ramp},
            analysis={"horizon_periods": horizon},
        )
    )  # fmt: skip


def worked_out(shares):
    s = np.asarray(shares, dtype=float)
    return np.sqrt(np.sum(1.0 / s) * np.sum(s)) / s.size


class TestCostOfRamp:
    @pytest.mark.parametrize(
        ("steps", "shares"),
        [
            ([], [1.0] * 500),
            ([(0, 0.3)], [0.3] * 500),
            ([(0, 0.1), (168, 1.0)], [0.1] * 168 + [1.0] * 332),
            ([(0, 0.0), (24, 0.1), (48, 0.5)], [0.1] * 24 + [0.5] * 476),
            ([(0, 0.1), (900, 1.0)], [0.1] * 500),
        ],
    )
    def test_is_what_the_variances_of_the_periods_say(self, steps, shares):
        assert cost_of_ramp(plan(*steps)) == pytest.approx(worked_out(shares))

    @pytest.mark.parametrize(
        ("hour", "shares"),
        [(-50, [0.1] * 168 + [1.0] * 332), (100, [0.1] * 68 + [1.0] * 432), (400, [1.0] * 500)],
    )
    def test_knows_when_the_experiment_began(self, hour, shares):
        made, started_at = plan((0, 0.1), (168, 1.0)), BEGIN + timedelta(hours=hour)

        assert cost_of_ramp(made, started_at) == pytest.approx(worked_out(shares))


class TestRampNote:
    def test_says_how_much_it_is(self):
        assert "1.7 times" in ramp_note(plan((0, 0.1), (168, 1.0)))

    @pytest.mark.parametrize("steps", [[], [(0, 0.5)], [(0, 0.1), (2, 1.0)]])
    def test_is_silent_where_it_costs_little(self, steps):
        assert ramp_note(plan(*steps)) == ""
