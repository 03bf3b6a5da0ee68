"""The leaders of a sweep run again for their returns per bar, which the bootstrap needs."""

from typing import Any

import numpy as np

from backtests.jobs import accounts
from backtests.jobs.collecting import Collected
from backtests.jobs.lease import Lease
from backtests.jobs.trials import Bench
from backtests.search import Search
from backtests.validation import SelectionSettings, StatisticsError, leader_report

N_LEADERS = 50
N_RESAMPLES = 500


def judge(
    bench: Bench, found: Search, collected: Collected, n_counted: int, lease: Lease
) -> dict[str, Any] | None:
    """Return what the bootstrap says of the trials that look best for their risk.

    None where no trial has a Sharpe ratio. `n_counted` is how many the ledger counts on this data,
    in whatever study.
    """
    numbers = collected.strongest(N_LEADERS)
    if not numbers:
        return None
    returns = []
    for at, number in enumerate(numbers):
        lease.progress(at, len(numbers))
        account = accounts.account_of(bench, found.trial(number).parameters)
        returns.append(accounts.returns_of(account))
    settings = SelectionSettings(n_resamples=N_RESAMPLES, seed=bench.spec.seed)
    try:
        report = leader_report(
            np.column_stack(returns), n_trials=n_counted, n_searched=collected.n_trials,
            settings=settings,
        )  # fmt: skip
    except StatisticsError as error:
        return {"numbers": numbers, "reason": f"not computed, because {error}"}
    return {"numbers": numbers} | report.to_dict()
