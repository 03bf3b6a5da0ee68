"""What the doctor says of experiments: those whose analysis fails."""

from collections.abc import Iterator

from crowetrade_site.core import doctor
from experiments.selectors.records import failure_of, list_experiments

MOST_NAMED = 5


def analyses_of_experiments() -> Iterator[doctor.Diagnosis]:
    """Check that what is at work could be analyzed when it was last looked at."""
    failing = list_experiments().at_work().filter(analysis_problem__isnull=False)
    found = list(failing.defer("plan").order_by("name")[:MOST_NAMED])
    told = [f"{one}: {failure_of(one)}" for one in found]
    more = failing.count() - len(found)
    told += [f"and {more:,} more"] if more else []
    yield doctor.judge(
        "analyses of experiments", "; ".join(told) or "none fails", good=not found,
        mild=True, cure="it is tried again every minute, outcomes are kept: see the worker's log",
    )  # fmt: skip
