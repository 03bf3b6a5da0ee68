"""Worker-side verbs: claim, compute, record.

Numeric libraries load when a job first needs them, so that web processes and commands that
only queue work start quickly.
"""

from backtests.jobs.runs import execute_run, reap_runs
from backtests.jobs.uploads import import_dataset, stalled_imports

__all__ = ["execute_run", "import_dataset", "reap_runs", "stalled_imports", "warm_up"]


def warm_up() -> None:
    """Load every kernel before the first run needs it."""
    from backtests.jobs import backtest

    backtest.warm_up()
