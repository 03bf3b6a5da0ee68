"""How much of what a run traded its version was made from, by instruments and time.

As the ledger of trials has it, and not by digests: the same file under another name, or less one
bar, is the same data, and a digest that no dataset has says nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from backtests.models import Dataset, Run


def days_seen(run: Run, made_from: Sequence[str], *, by_account: bool = False) -> int | None:
    """Return on how many days a run looked at what its version was made from.

    Parameters
    ----------
    made_from : sequence of str
        Digests of the data that the version names.
    by_account : bool
        Whether it is asked of the time of its account alone: that of a walk-forward begins where
        its first test does, while its search saw all that the spec lets it see.

    Returns
    -------
    int or None
        Of the named data that has most in common with the run: days from the first to the last
        moment that both have of an instrument. None where the version names no data, or some that
        the platform does not have: nobody knows.
    """
    named = Dataset.objects.filter(digest__in=made_from)
    if not made_from or set(made_from) - {dataset.digest for dataset in named}:
        return None
    traded = set(run.spec.get("instruments") or _symbols(run.dataset))
    first, last = _accounted(run) if by_account else _shown(run)
    common = [
        (min(last, dataset.last_at) - max(first, dataset.first_at)) // timedelta(days=1) + 1
        for dataset in named
        if traded.intersection(_symbols(dataset)) and dataset.first_at and dataset.last_at
    ]
    return max([0, *common])


def _symbols(dataset: Dataset) -> list[str]:
    symbols: list[str] = dataset.manifest["content"]["symbols"]
    return symbols


def _accounted(run: Run) -> tuple[datetime, datetime]:
    """Return from when to when an account was kept."""
    first, last = (datetime.fromisoformat(run.summary[name]) for name in ("first_at", "last_at"))
    return first, last


def _shown(run: Run) -> tuple[datetime, datetime]:
    """Return from when to when the spec of a run shows it its data."""
    data = run.dataset
    assert data.first_at is not None and data.last_at is not None  # noqa: S101, PT018 - it has bars
    first, last = data.first_at, data.last_at
    start, end = run.spec.get("start"), run.spec.get("end")
    if start:
        first = max(first, datetime.fromisoformat(start).replace(tzinfo=UTC))
    if end:
        day = datetime.combine(datetime.fromisoformat(end), time.max, UTC)
        last = min(last, day)
    return first, last
