"""Celery's door to the ground floor."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from crowetrade_site.core import seals


@shared_task(acks_late=True, ignore_result=True)
def seal_audit(**_: Any) -> None:
    """Seal what the audit trail gathered since the last beat."""
    seals.seal(at=timezone.now())
