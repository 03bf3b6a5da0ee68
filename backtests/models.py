"""Datasets, runs, the chunks of studies, and the ledger of trials."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from backtests.lifecycle import OF_A_RUN, ChunkStatus, DatasetStatus, Priority, RunKind, RunStatus
from backtests.querysets import (
    HAS_FINDINGS,
    IN_FLIGHT,
    ChunkQuerySet,
    DatasetQuerySet,
    RunQuerySet,
    TrialBatchQuerySet,
)
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

    kind = models.CharField(max_length=30, choices=[(k.value, k.words) for k in RunKind])
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in RunStatus])
    spec = models.JSONField()
    spec_digest = models.CharField(max_length=64)
    strategy_digest = models.CharField(max_length=64)
    dataset = models.ForeignKey("backtests.Dataset", on_delete=models.PROTECT, related_name="runs")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True)
    priority = models.CharField(
        max_length=10, choices=[(p.value, p.value) for p in Priority], default=Priority.NORMAL
    )
    reproduces = models.ForeignKey(  # or checks: the run that this one computes once more
        "backtests.Run", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    queued_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    attempt = models.PositiveIntegerField(default=0)
    # attempts that ended because they had to wait, for chunks or for the store
    resumptions = models.PositiveIntegerField(default=0)
    waits_for_chunks = models.BooleanField(default=False)
    worker = models.CharField(max_length=255, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    store_away_since = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=40, blank=True)
    progress_done = models.BigIntegerField(default=0)
    progress_total = models.BigIntegerField(default=0)

    code_digest = models.CharField(max_length=64, blank=True)
    environment = models.JSONField(default=dict)
    result_digest = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(default=dict)
    artifacts = models.JSONField(default=dict)
    problem = models.JSONField(null=True, blank=True)
    is_kept = models.BooleanField(default=False)  # its artefacts, whatever the retention policy
    kept_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    artifacts_expired_at = models.DateTimeField(null=True, blank=True)  # nobody may count on them
    artifacts_removed_at = models.DateTimeField(null=True, blank=True)  # gone from the store

    # of a check: what cuts and futures are drawn from, which nobody knows before a worker begins
    seed = models.UUIDField(null=True, blank=True)

    # of a run whose strategy is the file of a registered version: it speaks for that version
    tested_version = models.UUIDField(null=True, blank=True)
    tested_digest = models.CharField(max_length=64, blank=True, default="")
    tested_name = models.CharField(max_length=300, blank=True, default="")
    evidence_asked_at = models.DateTimeField(null=True, blank=True)
    evidence_at = models.DateTimeField(null=True, blank=True)  # handed in, or refused for good
    evidence_attempts = models.PositiveIntegerField(default=0)
    evidence_problem = models.JSONField(null=True, blank=True)

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
            models.Index(
                fields=["finished_at"],
                condition=HAS_FINDINGS & Q(tested_version__isnull=False, evidence_at=None),
                name="run_findings_due",
            ),
            models.Index(
                fields=["tested_version"],
                condition=Q(tested_version__isnull=False),
                name="run_tested_version",
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
            models.CheckConstraint(
                condition=Q(kind__in=sorted(OF_A_RUN), reproduces__isnull=False)
                | ~Q(kind__in=sorted(OF_A_RUN)) & Q(reproduces=None),
                name="run_of_a_run_has_original",
            ),
            models.CheckConstraint(
                condition=Q(waits_for_chunks=False) | Q(status=RunStatus.RUNNING),
                name="run_waits_while_running",
            ),
            models.CheckConstraint(
                condition=Q(artifacts_expired_at=None)
                | Q(is_kept=False, finished_at__isnull=False),
                name="run_expired_is_over_and_not_kept",
            ),
            models.CheckConstraint(
                condition=Q(artifacts_removed_at=None) | Q(artifacts_expired_at__isnull=False),
                name="run_removed_has_expired",
            ),
            models.CheckConstraint(
                condition=Q(tested_version=None, tested_digest="")
                | Q(tested_version__isnull=False) & ~Q(tested_digest=""),
                name="run_tested_version_has_digest",
            ),
        ]

    def __str__(self) -> str:
        return f"{RunKind(self.kind).words} {str(self.public_id)[:8]}"


class Chunk(models.Model):
    """Some trials of a study, which one task evaluates; its rows are an artefact.

    `content` names what is computed: code, data, spec and parameters. A chunk of the same content
    that is done, of whichever study, is taken over.
    """

    run = models.ForeignKey("backtests.Run", on_delete=models.PROTECT, related_name="chunks")
    generation = models.PositiveIntegerField(default=0)
    first = models.BigIntegerField()  # number of its first trial in the study
    n_trials = models.PositiveIntegerField()
    parameters = models.JSONField(null=True, blank=True)  # null: known by the trials' numbers
    content = models.CharField(max_length=64)
    status = models.CharField(max_length=20, choices=[(s.value, s.value) for s in ChunkStatus])
    published_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    resumptions = models.PositiveIntegerField(default=0)  # attempts that met no store
    worker = models.CharField(max_length=255, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    artifact = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(default=dict)
    seconds = models.FloatField(null=True, blank=True)
    is_reused = models.BooleanField(default=False)
    problem = models.JSONField(null=True, blank=True)

    objects = ChunkQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["content"], condition=Q(status=ChunkStatus.DONE), name="chunk_done_content"
            ),
            models.Index(
                fields=["run", "status"],
                condition=Q(status__in=[ChunkStatus.QUEUED, ChunkStatus.RUNNING]),
                name="chunk_active",
            ),
            # in the order of trials, however many are done or wait
            models.Index(
                fields=["run", "first"],
                condition=Q(status=ChunkStatus.QUEUED, published_at=None),
                name="chunk_unpublished",
            ),
            models.Index(fields=["run", "first"], condition=IN_FLIGHT, name="chunk_in_flight"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "first"], name="chunk_once"),
            models.CheckConstraint(
                condition=~Q(status=ChunkStatus.DONE) | ~Q(artifact=""),
                name="chunk_done_has_artifact",
            ),
            models.CheckConstraint(
                condition=~Q(status=ChunkStatus.RUNNING) | Q(lease_expires_at__isnull=False),
                name="chunk_running_has_lease",
            ),
            models.CheckConstraint(
                condition=~Q(status=ChunkStatus.QUARANTINED) | Q(problem__isnull=False),
                name="chunk_quarantined_has_problem",
            ),
        ]

    def __str__(self) -> str:
        return f"trials {self.first} to {self.first + self.n_trials - 1}"


class LedgerScope(models.Model):
    """What some trials were tried on: instruments and a stretch of time."""

    digest = models.CharField(max_length=64, unique=True)
    symbols = ArrayField(models.CharField(max_length=255))
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        indexes = [GinIndex(fields=["symbols"], name="scope_symbols")]

    def __str__(self) -> str:
        return (
            f"{len(self.symbols)} instruments, {self.first_at:%Y-%m-%d} to {self.last_at:%Y-%m-%d}"
        )


class TrialBatch(models.Model):
    """Trials the platform evaluated: append-only, each set of them counted once."""

    digest = models.CharField(max_length=64, unique=True)  # data, spec and parameters, not code
    scope = models.ForeignKey("backtests.LedgerScope", on_delete=models.PROTECT, related_name="+")
    family = models.CharField(max_length=64)  # the strategy without its numbers
    n_trials = models.PositiveIntegerField()
    run = models.ForeignKey("backtests.Run", on_delete=models.PROTECT, related_name="+")
    code_digest = models.CharField(max_length=64)
    worker = models.CharField(max_length=255)
    recorded_at = models.DateTimeField()

    objects = TrialBatchQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["family"], name="trial_batch_family")]

    def __str__(self) -> str:
        return f"{self.n_trials} trials of {self.run}"
