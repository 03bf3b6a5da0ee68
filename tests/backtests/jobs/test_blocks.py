"""Sums by block, in memory and in a file."""

import numpy as np
import pytest

from backtests.jobs import blocks, rows
from backtests.validation import (
    effective_number_of_trials,
    overfitting_of_blocks,
    overfitting_of_stored,
)

BARS = np.full(rows.N_BLOCKS, 10.0)


def sums_of(n_trials: int):
    """Return sums of returns and of their squares, shape (n_blocks, n_trials) each."""
    returns = np.random.default_rng(n_trials).normal(0.0002, 0.01, (rows.N_BLOCKS, 10, n_trials))
    return returns.sum(axis=1), np.square(returns).sum(axis=1)


class TestBlocks:
    @pytest.mark.parametrize("n_trials", [3, 64, 128, 150])
    def test_are_read_as_they_were_taken_however_often(self, monkeypatch, n_trials):
        monkeypatch.setattr(blocks, "SEGMENT", 64)
        kept, (sums, squares) = blocks.Blocks(), sums_of(n_trials)
        for begin in range(0, n_trials, 50):
            kept.take(sums[:, begin : begin + 50], squares[:, begin : begin + 50])

        stored = kept.stored()
        for _ in range(2):
            read = [np.concatenate(side, axis=1) for side in zip(*stored.read(), strict=True)]
            np.testing.assert_array_equal(read, [sums, squares])
        assert (stored.n_trials, stored.n_blocks) == (n_trials, rows.N_BLOCKS)

    def test_leave_out_trials_that_lack_a_sum(self):
        kept, (sums, squares) = blocks.Blocks(), sums_of(5)
        sums[3, 1] = squares[0, 4] = np.nan

        kept.take(sums, squares)

        ((read, _),) = kept.stored().read()
        np.testing.assert_array_equal(read, sums[:, [0, 2, 3]])

    def test_say_the_same_as_arrays(self, monkeypatch):
        monkeypatch.setattr(blocks, "SEGMENT", 64)
        kept, (sums, squares) = blocks.Blocks(), sums_of(300)
        sums[:, 70], squares[:, 70] = 0.0, 0.0  # one that never traded
        kept.take(sums, squares)

        stored = kept.stored()
        one = overfitting_of_stored(stored, block_bars=BARS)
        other = overfitting_of_blocks(sums.T, block_squares=squares.T, block_bars=BARS)
        for name in ("logits", "in_sample", "out_of_sample", "best"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
        assert (one.n_trials, one.n_still) == (other.n_trials, other.n_still) == (299, 1)

        drawn = (effective_number_of_trials(of, n_sampled=50) for of in (stored, sums.T))
        first, second = drawn
        assert first.silhouette == second.silhouette
        assert first.n_trials == second.n_trials == 299
        assert first.participation == pytest.approx(second.participation, rel=1e-12)
