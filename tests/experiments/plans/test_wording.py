"""Values of metrics as people read them."""

import pytest

from experiments.plans import MetricSpec
from experiments.plans.wording import write_confidence, write_difference, write_value

BPS = MetricSpec(name="improvement", role="primary", unit="bps")
RETURN = MetricSpec(name="return", role="primary", unit="fraction")
FILLED = MetricSpec(name="filled", role="primary", kind="proportion")


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        (BPS, None, "–"),
        (BPS, 0.59512, "0.5951 bps"),
        (BPS, 9_999.4, "9999 bps"),
        (BPS, 9_999.6, "10,000 bps"),
        (BPS, -33_021.6, "-33,022 bps"),
        (BPS, 1.05e-8, "1.05e-08 bps"),
        (RETURN, 0.000746, "0.0746 %"),
        (RETURN, 12.346, "1,235 %"),
        (FILLED, 0.5, "50 %"),
    ],
)
def test_values_have_their_unit_and_large_ones_no_exponent(metric, value, said):
    assert write_value(metric, value) == said


def test_differences_of_proportions_are_points():
    assert write_difference(FILLED, -0.0577) == "-5.77 pp"


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.95, "95 %"), (0.975, "97.5 %"), (1.0 - 0.05 / 19, "99.74 %")]
)
def test_confidences_are_percent_without_needless_zeros(confidence, said):
    assert write_confidence(confidence) == said
