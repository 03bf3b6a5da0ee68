import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backtests.validation.errors import SettingsError, ShapeError
from backtests.validation.splits import (
    DAY_NS,
    combinatorial_purged_splits,
    count_bars_of_days,
    days_of,
    walk_forward_splits,
    walk_forward_splits_by_day,
)

lengths = st.integers(1, 40)
gaps = st.integers(0, 8)


class TestWalkForwardSplits:
    def test_rolls_as_worked_by_hand(self):
        splits = walk_forward_splits(20, train_bars=6, test_bars=4, purge_bars=1, embargo_bars=1)

        assert [split.train_ranges for split in splits] == [((0, 6),), ((4, 10),), ((8, 14),)]
        assert [split.test_ranges for split in splits] == [((8, 12),), ((12, 16),), ((16, 20),)]

    def test_expands_when_anchored(self):
        splits = walk_forward_splits(14, train_bars=6, test_bars=4, anchored=True)

        assert [split.train_ranges for split in splits] == [((0, 6),), ((0, 10),)]

    def test_keeps_a_remainder_when_asked(self):
        asked = {"train_bars": 5, "test_bars": 4}

        assert walk_forward_splits(12, **asked)[-1].test.tolist() == [5, 6, 7, 8]
        kept = walk_forward_splits(12, **asked, keep_remainder=True)
        assert kept[-1].test.tolist() == [9, 10, 11]

    @given(st.integers(1, 300), lengths, lengths, gaps, gaps, st.booleans(), st.booleans())
    def test_never_trains_within_the_gap_of_a_test(
        self, n_bars, train, test, purge, embargo, anchored, keep
    ):
        assume(n_bars >= train + purge + embargo + test)

        splits = walk_forward_splits(
            n_bars, train_bars=train, test_bars=test, purge_bars=purge, embargo_bars=embargo,
            anchored=anchored, keep_remainder=keep,
        )  # fmt: skip

        for fitted, judged in splits:
            assert fitted.max() + purge + embargo < judged.min()
            assert fitted.min() >= 0
            assert judged.max() < n_bars
            assert fitted.size >= train if anchored else fitted.size == train
        tested = np.concatenate([split.test for split in splits])
        np.testing.assert_array_equal(tested, np.arange(tested[0], tested[0] + tested.size))

    @pytest.mark.parametrize(
        "wrong",
        [{"train_bars": 0}, {"test_bars": 0}, {"purge_bars": -1}, {"embargo_bars": -1},
         {"train_bars": 97}, {"test_bars": 2.5}],
    )  # fmt: skip
    def test_refuses_what_cannot_be(self, wrong):
        with pytest.raises(SettingsError):
            walk_forward_splits(100, **({"train_bars": 10, "test_bars": 5} | wrong))


class TestWalkForwardSplitsByDay:
    def test_counts_days_that_have_bars(self):
        ts = np.array([1.0, 1.5, 2.0, 5.0, 5.5, 6.0, 7.0]) * DAY_NS  # midnight closes a day
        days = days_of(ts.astype(np.int64))

        splits = walk_forward_splits_by_day(days, train_days=2, test_days=1, purge_days=1)

        assert days.tolist() == [0, 1, 1, 4, 5, 5, 6]
        assert [split.train_ranges for split in splits] == [((0, 3),), ((1, 4),)]
        assert [split.test_ranges for split in splits] == [((4, 6),), ((6, 7),)]

    @given(st.lists(st.integers(1, 5), min_size=4, max_size=40))
    def test_is_the_split_in_bars_where_every_day_has_one(self, sizes):
        days = np.repeat(np.arange(len(sizes)), sizes)

        in_days = walk_forward_splits_by_day(days, train_days=2, test_days=1, purge_days=1)

        plain = walk_forward_splits(len(sizes), train_bars=2, test_bars=1, purge_bars=1)
        for ours, theirs in zip(in_days, plain, strict=True):
            assert set(days[ours.train]) == set(theirs.train)
            assert set(days[ours.test]) == set(theirs.test)

    def test_refuses_days_that_descend(self):
        with pytest.raises(ShapeError):
            walk_forward_splits_by_day([3, 2], train_days=1, test_days=1)


class TestCountBarsOfDays:
    def test_takes_the_longest_stretch(self):
        days = [0, 1, 1, 1, 2, 2, 5]

        assert [count_bars_of_days(days, n) for n in (0, 1, 2, 3, 9)] == [0, 3, 5, 6, 7]


class TestCombinatorialPurgedSplits:
    def test_makes_fifteen_splits_and_five_paths_of_six_groups(self):
        found = combinatorial_purged_splits(60)

        assert len(found) == 15
        assert found.n_paths == 5
        assert found[0].test_ranges == ((0, 20),)
        assert found[1].test_ranges == ((0, 10), (20, 30))

    def test_purges_both_sides_and_embargoes_behind(self):
        found = combinatorial_purged_splits(60, purge_bars=2, embargo_bars=3)

        assert found[6].test_ranges == ((10, 20), (30, 40))
        assert found[6].train_ranges == ((0, 8), (25, 28), (45, 60))

    @given(st.integers(2, 8), st.data())
    @settings(deadline=None, max_examples=60)
    def test_keeps_training_and_tests_apart(self, n_groups, data):
        k = data.draw(st.integers(1, n_groups - 1))
        n_bars = data.draw(st.integers(n_groups * 4, 120))
        purge, embargo = data.draw(gaps), data.draw(gaps)
        try:
            found = combinatorial_purged_splits(
                n_bars, n_groups=n_groups, n_test_groups=k, purge_bars=purge, embargo_bars=embargo
            )
        except SettingsError:
            assume(False)

        assert len(found) == math.comb(n_groups, k)
        assert found.n_paths == math.comb(n_groups, k) * k // n_groups
        for train, test in found:
            behind = train[:, None] - test[None, :]  # > 0: the training row is later
            assert not np.any((behind >= -purge) & (behind <= purge))
            for start, stop in _blocks(test):
                assert not np.any((train >= start - purge) & (train < stop + purge + embargo))

    @given(st.integers(2, 8), st.data())
    @settings(deadline=None, max_examples=60)
    def test_covers_every_bar_once_in_each_path(self, n_groups, data):
        k = data.draw(st.integers(1, n_groups - 1))
        n_bars = data.draw(st.integers(n_groups, 90))
        found = combinatorial_purged_splits(n_bars, n_groups=n_groups, n_test_groups=k)

        rows = found.assemble([split.test for split in found])
        numbers = found.assemble([np.full(split.test.size, i) for i, split in enumerate(found)])

        np.testing.assert_array_equal(rows, np.tile(np.arange(n_bars), (found.n_paths, 1)))
        used = {(int(n), row) for path in numbers for row, n in enumerate(path)}
        assert len(used) == found.n_paths * n_bars  # no outcome serves two paths

    @pytest.mark.parametrize(
        "wrong",
        [{"n_groups": 1}, {"n_test_groups": 6}, {"n_test_groups": 0}, {"purge_bars": -1},
         {"purge_bars": 60}, {"n_bars": 5}, {"n_groups": 40, "n_test_groups": 20}],
    )  # fmt: skip
    def test_refuses_what_cannot_be(self, wrong):
        with pytest.raises(SettingsError):
            combinatorial_purged_splits(**({"n_bars": 60} | wrong))

    def test_refuses_outcomes_that_do_not_fit(self):
        found = combinatorial_purged_splits(12)

        with pytest.raises(ShapeError):
            found.assemble([split.test for split in found][:-1])
        with pytest.raises(ShapeError):
            found.assemble([split.test[1:] for split in found])


def _blocks(test):
    """Return the contiguous blocks of test rows."""
    for _, group in itertools.groupby(enumerate(test), lambda pair: pair[1] - pair[0]):
        rows = [row for _, row in group]
        yield rows[0], rows[-1] + 1
