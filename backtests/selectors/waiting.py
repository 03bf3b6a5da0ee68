"""What a queued run waits for: a worker, or the runs that workers are at."""

from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils import timezone

from backtests.lifecycle import RunStatus
from backtests.models import Run


@dataclass(frozen=True)
class Wait:
    """What stands before a queued run.

    Attributes
    ----------
    n_before : int
        Runs that workers are at, and those that were queued before.
    is_attended : bool
        Whether any worker is at a run and alive, so that this one only has to wait.
    """

    n_before: int
    is_attended: bool

    @property
    def text(self) -> str:
        """The same in words."""
        runs = f"behind {self.n_before:,} run{'' if self.n_before == 1 else 's'}"
        if self.is_attended:
            return f"Waiting {runs}"
        return "Waiting for a worker" + (f", {runs}" if self.n_before else "")


def get_wait(run: Run) -> Wait:
    """Return what stands before a queued run, by the leases that workers keep alive."""
    others = Run.objects.active().exclude(pk=run.pk)
    attended = Q(pk__in=others.attended(timezone.now()).values("pk"))
    before = Q(status=RunStatus.QUEUED, queued_at__lt=run.queued_at)
    counted = others.aggregate(
        n_attended=Count("pk", filter=attended), n_before=Count("pk", filter=attended | before)
    )
    return Wait(counted["n_before"], bool(counted["n_attended"]))
