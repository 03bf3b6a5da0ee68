"""The algorithm as docs/assignment.md writes it, against the package and its test vectors."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import (
    AssignmentSettings,
    Context,
    ContextError,
    Ramp,
    RampStep,
    assign,
    bucket,
)

DOCUMENT = (Path(__file__).parents[3] / "docs" / "assignment.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `([0-9a-f]{16})` \|", DOCUMENT, re.MULTILINE)
DECISIONS = re.findall(r"^\| `([^`]+)` \| ([0-3–]) \|$", DOCUMENT, re.MULTILINE)
REFERENCE: dict = {}
exec(  # noqa: S102 - the document's own listing is what is tested
    next(code for code in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL) if "def" in code),
    REFERENCE,
)
NOW = datetime(2026, 1, 5, tzinfo=UTC)
units = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
weights = (
    st.lists(st.integers(0, 9), min_size=2, max_size=5)
    .filter(any)
    .map(lambda parts: [part / sum(parts) for part in parts])
)


def refilled(parts):
    """Return weights that sum to 1 again: the last takes what was cut off."""
    return [*parts[:-1], parts[-1] + max(0.0, 1.0 - sum(parts))]


def decided(unit, weights, ranges, ramp_share):
    """Return the position of the arm that the package gives."""
    settings = AssignmentSettings(
        "pilot", tuple("abcde"[: len(weights)]), tuple(weights), layer_salt="equities",
        ranges=ranges, ramp=Ramp((RampStep(NOW, ramp_share),)),
    )  # fmt: skip
    arm = assign(unit, {}, settings, NOW).arm
    return None if arm is None else settings.arms.index(arm)


class TestVectors:
    def test_there_are_some(self):
        assert len(ROWS) >= 10
        assert len(DECISIONS) >= 10
        assert len({arm for _, arm in DECISIONS}) == 4  # no arm, and three that have a weight

    @pytest.mark.parametrize(("salt", "unit", "expected"), ROWS)
    def test_buckets_are_those_of_both(self, salt, unit, expected):
        assert bucket(salt, unit) == REFERENCE["bucket"](salt, unit) == int(expected, 16)

    @pytest.mark.parametrize(("unit", "expected"), DECISIONS)
    def test_decisions_are_those_of_both(self, unit, expected):
        weights, ranges = [0.2, 0, 0.5, 0.3], [[0, 0.3], [0.5, 0.9]]

        ours = decided(unit, weights, ranges, 0.8)

        assert ours == REFERENCE["arm"]("pilot", unit, weights, "equities", ranges, 0.8)
        assert ours == (None if expected == "–" else int(expected))


class TestReference:
    @given(units, weights, st.floats(0, 0.5), st.floats(0.51, 1), st.floats(0, 1))
    def test_decides_as_the_package_does(self, unit, weights, start, stop, ramp_share):
        ranges = [[start, stop]]

        theirs = REFERENCE["arm"]("pilot", unit, weights, "equities", ranges, ramp_share)

        assert theirs == decided(unit, weights, ranges, ramp_share)

    @given(units, weights, weights, st.sampled_from([None, "calm", "wild", 1, True]), st.booleans())
    def test_decides_by_context_as_the_package_does(self, unit, calm, wild, value, has_otherwise):
        n = min(len(calm), len(wild))
        shares = {"calm": refilled(calm[:n]), "wild": refilled(wild[:n])}
        attributes = {} if value is None else {"regime": value}
        otherwise = "calm" if has_otherwise else None
        settings = AssignmentSettings(
            "pilot", tuple("abcde"[:n]), tuple(shares["calm"]),
            context=Context("regime", shares, otherwise),
        )  # fmt: skip

        try:
            theirs = REFERENCE["weights_of"](attributes, "regime", shares, otherwise)
        except LookupError:
            with pytest.raises(ContextError):
                assign(unit, attributes, settings, NOW)
        else:
            met = assign(unit, attributes, settings, NOW)
            assert settings.arms.index(met.arm) == REFERENCE["arm"]("pilot", unit, theirs)
            assert met.probability == theirs[settings.arms.index(met.arm)]
