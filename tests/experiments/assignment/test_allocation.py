import itertools
import time
import timeit
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.assignment.allocation import Assignment, Reason, assign
from experiments.assignment.arms import arm_positions, moved_share
from experiments.assignment.buckets import buckets_of
from experiments.assignment.errors import SettingsError, UnitError
from experiments.assignment.layers import Range, allocate_ranges
from experiments.assignment.ramps import Ramp, RampStep
from experiments.assignment.settings import AssignmentSettings
from experiments.assignment.targeting import read_targeting

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
UNITS = [f"unit-{number}" for number in range(5_000)]
NOBODY = read_targeting({"attribute": "desk", "equals": "none"})


def settings_of(**changed):
    return AssignmentSettings(
        **{"salt": "pilot", "arms": ("a", "b"), "weights": (0.5, 0.5), **changed}
    )


def arms_of(settings, at=NOW):
    return [assign(unit, {}, settings, at).arm for unit in UNITS]


class TestAssign:
    @given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60))
    def test_says_the_same_twice(self, unit):
        first = assign(unit, {}, settings_of(weights=(0.25, 0.75)), NOW)

        again = assign(unit, {"desk": "fx"}, settings_of(weights=(0.25, 0.75)), NOW)

        assert first == again
        assert first.arm in {"a", "b"}
        assert first.probability == {"a": 0.25, "b": 0.75}[first.arm]
        assert first.is_analyzed

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"targeting": NOBODY}, Reason.NOT_TARGETED),
            ({"ranges": (Range(0.0, 1e-9),)}, Reason.OUTSIDE_LAYER_RANGE),
            ({"ranges": (Range(0.0, 1e-9),), "holdout": (Range(1e-9, 1.0),)}, Reason.HELD_OUT),
            ({"ramp": Ramp((RampStep(NOW + timedelta(days=1), 1.0),))}, Reason.NOT_RAMPED),
        ],
    )
    def test_gives_no_arm_and_the_reason(self, changed, reason):
        given = assign("AAPL", {}, settings_of(**changed), NOW)

        assert given == Assignment(None, None, reason)
        assert not given.is_analyzed

    @pytest.mark.parametrize("changed", [{}, {"targeting": NOBODY}, {"weights": (1.0, 0.0)}])
    def test_lets_an_override_win_and_flags_it(self, changed):
        given = assign("AAPL", {}, settings_of(overrides={"AAPL": "b"}, **changed), NOW)

        assert given == Assignment("b", 1.0, Reason.OVERRIDE)
        assert not given.is_analyzed

    def test_asks_the_attributes(self):
        settings = settings_of(targeting=read_targeting({"attribute": "desk", "equals": "fx"}))

        assert assign("AAPL", {"desk": "fx"}, settings, NOW).arm is not None
        assert assign("AAPL", {"desk": "rates"}, settings, NOW).reason is Reason.NOT_TARGETED

    def test_agrees_with_the_vectorized_form(self):
        settings = settings_of(weights=(0.3, 0.7))

        positions = arm_positions(buckets_of("pilot/arm", UNITS), settings.thresholds)

        assert [settings.arms[place] for place in positions] == arms_of(settings)

    @pytest.mark.parametrize("unit", ["", "a\tb", "x" * 10_000_000, None])
    def test_refuses_what_is_no_unit(self, unit):
        with pytest.raises(UnitError):
            assign(unit, {}, settings_of(overrides={"AAPL": "b"}), NOW)

    @pytest.mark.parametrize("at", [datetime(2026, 1, 5), "2026-01-05T08:00:00Z", None])  # noqa: DTZ001
    def test_refuses_a_moment_without_its_zone(self, at):
        with pytest.raises(SettingsError):
            assign("AAPL", {}, settings_of(), at)


class TestSpeed:
    @pytest.mark.slow
    def test_decides_in_less_than_ten_microseconds_of_processor_time(self):
        settings = settings_of(
            layer_salt="equities", ranges=(Range(0.0, 0.1), Range(0.2, 0.9)),
            ramp=Ramp((RampStep(NOW, 0.9),)), overrides={f"u{k}": "a" for k in range(10_000)},
            targeting=read_targeting({"attribute": "desk", "in": ["equities", "futures"]}),
        )  # fmt: skip

        def decide_all():
            for unit in UNITS:
                assign(unit, {"desk": "equities"}, settings, NOW)

        least = min(timeit.repeat(decide_all, timer=time.process_time, number=1, repeat=20))

        assert least / len(UNITS) < 10e-6


class TestStickiness:
    def test_a_ramp_lets_in_and_never_out_and_moves_nobody(self):
        steps = [RampStep(NOW + timedelta(days=k), share) for k, share in enumerate([0.05, 0.3, 1])]
        settings = settings_of(ramp=Ramp(tuple(steps)))

        days = [arms_of(settings, NOW + timedelta(days=k)) for k in range(-1, 3)]

        assert set(days[0]) == {None}
        for early, late in itertools.pairwise(days):
            assert all(old in {None, new} for old, new in zip(early, late, strict=True))
        shares = [np.mean([arm is not None for arm in day]) for day in days[1:]]
        np.testing.assert_allclose(shares, [0.05, 0.3, 1.0], atol=0.03)

    def test_new_weights_move_as_few_units_as_they_must(self):
        before, after = (0.5, 0.5), (0.35, 0.65)

        old, new = (arms_of(settings_of(weights=weights)) for weights in (before, after))

        moves = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
        assert set(moves) == {("a", "b")}
        assert moved_share(before, after) == pytest.approx(0.15)
        assert len(moves) / len(UNITS) == pytest.approx(0.15, abs=0.02)

    def test_a_range_more_moves_nobody(self):
        less = settings_of(layer_salt="equities", ranges=(Range(0.0, 0.2),))
        more = settings_of(layer_salt="equities", ranges=(Range(0.0, 0.2), Range(0.5, 0.9)))

        for old, new in zip(arms_of(less), arms_of(more), strict=True):
            assert old in {None, new}


class TestIndependence:
    def test_layer_ramp_and_arm_are_independent(self):
        units = [f"unit-{number}" for number in range(100_000)]
        columns = [
            (buckets_of(salt, units) >> np.uint64(62)).astype(np.int64)
            for salt in ("equities", "pilot/ramp", "pilot/arm", "other/arm")
        ]

        for one, other in itertools.combinations(columns, 2):
            table = np.bincount(4 * one + other, minlength=16).reshape(4, 4)
            assert stats.chi2_contingency(table).pvalue > 0.001
        three = np.bincount(16 * columns[0] + 4 * columns[1] + columns[2], minlength=64)
        assert stats.chisquare(three).pvalue > 0.001

    def test_arms_are_even_inside_a_range_and_a_ramp(self):
        settings = settings_of(
            layer_salt="equities", ranges=(Range(0.0, 0.5),), ramp=Ramp((RampStep(NOW, 0.5),))
        )

        arms = [arm for arm in arms_of(settings) if arm is not None]

        assert len(arms) / len(UNITS) == pytest.approx(0.25, abs=0.03)
        assert stats.binomtest(arms.count("a"), len(arms)).pvalue > 0.001


class TestLayers:
    @given(st.lists(st.integers(1, 300_000), min_size=2, max_size=5), st.integers(0, 10**9))
    def test_a_unit_is_in_one_experiment_or_held_out(self, parts, number):
        holdout = (Range(0.9, 1.0),)
        taken, experiments = list(holdout), []
        for place, part in enumerate(parts):
            if part / 1_000_000 > 1.0 - sum(one.stop - one.start for one in taken):
                break
            ranges = allocate_ranges(part / 1_000_000, taken)
            taken.extend(ranges)
            experiments.append(
                settings_of(
                    salt=f"experiment-{place}", layer_salt="equities", ranges=ranges,
                    holdout=holdout,
                )
            )  # fmt: skip

        reasons = [assign(f"unit-{number}", {}, one, NOW).reason for one in experiments]

        assert reasons.count(Reason.ASSIGNED) <= 1
        if Reason.HELD_OUT in reasons:
            assert set(reasons) == {Reason.HELD_OUT}
