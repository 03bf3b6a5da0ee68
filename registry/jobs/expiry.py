"""What is over is ended: requests for promotion, uploads that nobody finished."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from crowetrade_site.core import audit, spool
from registry.lifecycle import REQUESTS, RequestStatus
from registry.models import PromotionRequest, Upload
from registry.selectors import PENDING_REQUESTS

UNUSED = timedelta(hours=1)  # a part that no row names may belong to one that is being written


@transaction.atomic(durable=True)
def expire_promotions(*, at: datetime) -> int:
    """End the requests for promotion whose time is over, and return how many there were."""
    overdue = (
        PromotionRequest.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(status__in=PENDING_REQUESTS, expires_at__lte=at)
        .order_by("id")
    )
    n_ended = 0
    for request in overdue:
        before = RequestStatus(request.status)
        REQUESTS.check(before, RequestStatus.EXPIRED)
        PromotionRequest.objects.filter(pk=request.pk).update(
            status=RequestStatus.EXPIRED, decided_at=at, decision="Its time was over.",
            updated_at=at,
        )  # fmt: skip
        audit.record(
            "registry.promotion.expired", request, actor=None, at=at, reason="Its time was over.",
            before={"status": before}, after={"status": RequestStatus.EXPIRED},
        )  # fmt: skip
        n_ended += 1
    return n_ended


def expire_uploads(*, at: datetime) -> int:
    """Forget uploads that began too long ago, with what arrived of them; return how many.

    The file of one that was completed stays, and has its own entry in the trail.
    """
    n_forgotten = _forget_uploads(at)
    named = set(Upload.objects.filter(completed_at=None).values_list("public_id", flat=True))
    spool.sweep(keep=named, unused_seconds=UNUSED.total_seconds())
    return n_forgotten


@transaction.atomic(durable=True)
def _forget_uploads(at: datetime) -> int:
    kept_for = timedelta(days=settings.UPLOAD_KEEP_DAYS)
    overdue = Upload.objects.select_for_update(skip_locked=True).filter(
        created_at__lte=at - kept_for
    )
    rows = list(overdue.order_by("id"))
    for upload in rows:
        if upload.completed_at is None:
            audit.record(
                "registry.upload.expired", upload, actor=None, at=at, reason="Its time was over.",
                before={"path": upload.path, "sha256": upload.sha256, "n_bytes": upload.n_bytes},
            )  # fmt: skip
    Upload.objects.filter(pk__in=[upload.pk for upload in rows]).delete()
    return len(rows)
