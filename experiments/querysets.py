"""Filters of experiments."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.db.models import Q, QuerySet

from experiments.lifecycle import ExperimentStatus

if TYPE_CHECKING:
    from experiments.models import Experiment  # noqa: F401 - the row type below


class ExperimentQuerySet(QuerySet["Experiment"]):
    """Experiments by where they are."""

    def with_parts(self) -> Self:
        """Fetch owner, layer, arms and metrics along."""
        return self.select_related("owner", "layer").prefetch_related("arms", "metrics")

    def running(self) -> Self:
        """Those that take units and outcomes."""
        return self.filter(status=ExperimentStatus.RUNNING)

    def at_work(self) -> Self:
        """Those that were started and are not over; who paused them has yet to say what then."""
        return self.filter(status__in=(ExperimentStatus.RUNNING, ExperimentStatus.PAUSED))

    def evidence_due(self) -> Self:
        """Those that are over, and of which the registry has not been told."""
        return self.filter(concluded_at__isnull=False, evidence_at=None)

    def not_analyzed_after(self, moment: datetime) -> Self:
        """Those that nobody has looked at later than a moment."""
        return self.filter(Q(analyzed_at__isnull=True) | Q(analyzed_at__lte=moment))
