"""The bare loops give the reference results of the four workloads to their last digit."""

import pytest

from benchmarks import bare_loops
from benchmarks.peers.workloads import REFERENCE, W4_DAILY, reference_workloads


@pytest.fixture(scope="module")
def workloads():
    try:
        return reference_workloads()
    except FileNotFoundError as absent:
        pytest.skip(str(absent))


def rounded(outcome):
    equity, n_trades = outcome
    return round(equity, 2), n_trades


class TestW1:
    def test_gives_the_reference(self, workloads):
        assert rounded(bare_loops.w1(workloads.one_minute())) == REFERENCE["W1"]


class TestW2:
    def test_gives_the_reference(self, workloads):
        assert rounded(bare_loops.w2(workloads.portfolio())) == REFERENCE["W2"]


class TestW3:
    def test_gives_the_reference(self, workloads):
        outcome = bare_loops.w3(workloads.daily(), workloads.sweep_pairs())

        assert rounded(outcome) == REFERENCE["W3"]


class TestW4:
    def test_gives_the_reference(self, workloads):
        assert rounded(bare_loops.w4(workloads.one_minute())) == REFERENCE["W4"]

    @pytest.mark.parametrize("policy", W4_DAILY)
    def test_loses_on_days_what_each_policy_of_others_loses(self, workloads, policy):
        rules, loss = W4_DAILY[policy]

        equity, n_trades = bare_loops.w4(workloads.daily(), **rules)

        assert (round(workloads.INIT_CASH - equity, 2), n_trades) == (loss, 30)
