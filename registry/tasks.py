"""Celery's door to the registry's jobs."""

import logging
from typing import Any
from uuid import UUID

from celery import shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from registry import jobs
from registry.lifecycle import ConversionStatus, VersionStatus
from registry.models import Conversion, ModelVersion

logger = logging.getLogger(__name__)


@shared_task(acks_late=True, ignore_result=True)
def admit_version(*, version_id: str, **_: Any) -> None:
    """Look at the files of a version and say whether they may stay."""
    jobs.admit_version(version_id=UUID(version_id))


@shared_task(acks_late=True, ignore_result=True)
def convert_version(*, conversion_id: str, **_: Any) -> None:
    """Convert a model; what comes out is a version to look at."""
    made = jobs.convert_version(conversion_id=UUID(conversion_id))
    if made is not None:
        publish_version(made)


@shared_task(acks_late=True, ignore_result=True)
def reap_versions(**_: Any) -> None:
    """Speak again of versions that nobody looks at, and of conversions that nobody is at."""
    for version_id in jobs.stalled_versions():
        publish_version(version_id)
    for conversion_id in jobs.stalled_conversions():
        publish_conversion(conversion_id)


@shared_task(acks_late=True, ignore_result=True)
def expire_promotions(**_: Any) -> None:
    """End requests for promotion whose time is over."""
    jobs.expire_promotions(at=timezone.now())


@shared_task(acks_late=True, ignore_result=True)
def verify_versions(**_: Any) -> None:
    """Hash what is in staging and production; a version of other bytes is compromised."""
    jobs.verify_versions(at=timezone.now())


@shared_task(acks_late=True, ignore_result=True)
def expire_uploads(**_: Any) -> None:
    """Forget uploads that nobody finished."""
    jobs.expire_uploads(at=timezone.now())


def publish_version(version_id: UUID) -> None:
    """Send the message that speaks of a pending version.

    A broker that is away loses nothing: the row stays unpublished and the beat comes back.
    """
    try:
        admit_version.delay(version_id=str(version_id))
    except OperationalError:
        logger.warning("The broker is away; the beat will speak of the version")
        return
    pending = ModelVersion.objects.filter(public_id=version_id, status=VersionStatus.PENDING)
    pending.update(published_at=timezone.now())


def publish_conversion(conversion_id: UUID) -> None:
    """Send the message that speaks of a conversion; like `publish_version`, it may wait."""
    try:
        convert_version.delay(conversion_id=str(conversion_id))
    except OperationalError:
        logger.warning("The broker is away; the beat will speak of the conversion")
        return
    queued = Conversion.objects.filter(public_id=conversion_id, status=ConversionStatus.QUEUED)
    queued.update(published_at=timezone.now())
