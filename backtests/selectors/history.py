"""What happened to a run, read off the audit trail."""

from backtests.models import Run
from crowetrade_site.core.history import Happening, events_about, kinds_of, newest_about
from crowetrade_site.core.models import AuditEvent

CANCELLING = ("backtests.run.cancel_requested", "backtests.run.cancelled")


def history_of(run: Run) -> list[Happening]:
    """Return the newest entries about a run."""
    return newest_about(run, str(run), words={"evidence": kinds_of})


def find_cancellation(run: Run) -> AuditEvent | None:
    """Return the entry of whoever asked a run to stop; None where nobody did.

    A running run ends later, by its worker: the first of the entries is the person's.
    """
    if run.cancel_requested_at is None:
        return None
    return events_about(run).filter(verb__in=CANCELLING).order_by("at", "id").first()
