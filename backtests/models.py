"""Datasets and runs."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from backtests.lifecycle import DatasetStatus, RunKind, RunStatus
from backtests.querysets import DatasetQuerySet, RunQuerySet
from crowetrade_site.core.models import BaseModel


class Dataset(BaseModel):
    """One immutable version of named market data; its arrays are artefacts."""

    name = models.SlugField(max_length=80)
    version = models.PositiveIntegerField(null=True, blank=True)  # given when it is ready
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in DatasetStatus])
    kind = models.CharField(max_length=40, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    manifest = models.JSONField(default=dict)
    report = models.JSONField(default=dict)
    problem = models.JSONField(null=True, blank=True)
    options = models.JSONField(default=dict)
    source_name = models.CharField(max_length=255, blank=True)
    source_artifact = models.CharField(max_length=64, blank=True)
    quarantine_artifact = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=8, blank=True)
    periods_per_year = models.FloatField("bars a year", null=True, blank=True)
    n_rows = models.BigIntegerField("rows", default=0)
    n_refused = models.BigIntegerField("refused rows", default=0)
    n_instruments = models.PositiveIntegerField("instruments", default=0)
    first_at = models.DateTimeField("first bar", null=True, blank=True)
    last_at = models.DateTimeField("last bar", null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    imported_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )

    objects = DatasetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="dataset_version_once"),
            models.UniqueConstraint(
                fields=["name", "digest"], condition=~Q(digest=""), name="dataset_digest_once"
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="dataset_version_positive"),
            models.CheckConstraint(
                condition=Q(status__in=[DatasetStatus.IMPORTING, DatasetStatus.REFUSED])
                | (~Q(digest="") & Q(version__isnull=False)),
                name="dataset_ready_has_digest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}" if self.version else f"{self.name} ({self.status})"


class Run(BaseModel):
    """One request to compute, the queue's truth about it, and what came out."""

    kind = models.CharField(max_length=30, choices=[(k.value, k.value) for k in RunKind])
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in RunStatus])
    spec = models.JSONField()
    spec_digest = models.CharField(max_length=64)
    strategy_digest = models.CharField(max_length=64)
    dataset = models.ForeignKey("backtests.Dataset", on_delete=models.PROTECT, related_name="runs")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True)

    queued_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    attempt = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=255, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=40, blank=True)
    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(default=0)

    code_digest = models.CharField(max_length=64, blank=True)
    environment = models.JSONField(default=dict)
    result_digest = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(default=dict)
    artifacts = models.JSONField(default=dict)
    problem = models.JSONField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="run_newest"),
            models.Index(fields=["spec_digest"], name="run_spec"),
            models.Index(
                fields=["status", "lease_expires_at"],
                condition=Q(status__in=[RunStatus.QUEUED, RunStatus.RUNNING]),
                name="run_active",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[RunStatus.QUEUED, RunStatus.RUNNING], finished_at=None)
                | Q(
                    status__in=[RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED],
                    finished_at__isnull=False,
                ),
                name="run_over_has_finished_at",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.SUCCEEDED) | ~Q(result_digest=""),
                name="run_succeeded_has_digest",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.RUNNING) | Q(lease_expires_at__isnull=False),
                name="run_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.FAILED) | Q(problem__isnull=False),
                name="run_failed_has_problem",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {str(self.public_id)[:8]}"
