"""What waits for whom: requests for promotion that somebody could carry on now."""

from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from crowetrade_site.core import roles
from registry.lifecycle import ASKED_FROM, RULES, RequestStatus, Stage
from registry.models import ModelVersion, PromotionRequest
from registry.selectors.records import PENDING_REQUESTS, list_requests
from registry.selectors.standing import may_do, standings_of

MOST_JUDGED = 100  # requests that are judged for one list; of more, the later ones are listed as is
_CARRIED_ON_BY = frozenset({"approve", "execute"})


def waiting_for(user: User, *, at: datetime) -> QuerySet[PromotionRequest]:
    """Return the requests that somebody could approve or carry out now.

    Each is judged as its page is: what has a gate that fell, a file that is gone or approvals that
    lapsed waits for whoever could mend that, and not for those who could only press a button that
    refuses. The soonest to end are judged first.
    """
    rows = list(_within_reach(user, at).order_by("expires_at", "pk"))
    first = rows[:MOST_JUDGED]
    judged = [
        row for row, standing in zip(first, standings_of(first, at=at), strict=True)
        if may_do(user, row, standing) & _CARRIED_ON_BY
    ]  # fmt: skip
    keys = [row.pk for row in (*judged, *rows[MOST_JUDGED:])]
    return list_requests().filter(pk__in=keys)


def _within_reach(user: User, at: datetime) -> QuerySet[PromotionRequest]:
    """Return the requests that a person's roles are for."""
    held, granted, wanted = roles.roles_of(user), roles.grants(user), Q(pk__in=[])
    for target, before in ASKED_FROM.items():
        rule = RULES[before, target]
        there = Q(target=target, version__stage=before)
        if rule.approves & held and "models:approve" in granted:
            wanted |= there & ~Q(requested_by=user)
        if rule.executes & held and "models:operate" in granted:
            wanted |= there & Q(status=RequestStatus.APPROVED)
    return list_requests().filter(wanted, status__in=PENDING_REQUESTS, expires_at__gt=at)


def count_production_versions() -> int:
    """Return how many versions are in production."""
    return ModelVersion.objects.in_stage(Stage.PRODUCTION).count()
