"""Experiments, their arms and metrics, the layers they share, and the shares they give."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from crowetrade_site.core.models import BaseModel
from experiments.lifecycle import ExperimentStatus
from experiments.plans import Verdict
from experiments.querysets import ExperimentQuerySet

_STARTED = [ExperimentStatus.RUNNING, ExperimentStatus.PAUSED, ExperimentStatus.CONCLUDED]
ANSWERS = (Verdict.WINNER, Verdict.NO_DIFFERENCE, Verdict.INCONCLUSIVE)


class Layer(BaseModel):
    """Experiments of one layer never share a unit."""

    name = models.CharField(max_length=64, unique=True)
    salt = models.CharField(max_length=64)
    holdout = models.FloatField(default=0.0)  # the end of it, which no experiment takes

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(holdout__gte=0.0, holdout__lt=1.0), name="layer_holdout_is_share"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Experiment(BaseModel):
    """A question, the frozen plan of answering it, and where that stands."""

    name = models.CharField(max_length=64, unique=True)
    status = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in ExperimentStatus],
        default=ExperimentStatus.DRAFT,
    )  # fmt: skip
    status_changed_at = models.DateTimeField()
    status_reason = models.TextField(blank=True)
    plan = models.JSONField()
    plan_digest = models.CharField(max_length=64, blank=True)  # of a plan that is frozen
    design = models.CharField(max_length=20)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField(default=1)  # of all that assignment reads

    salt = models.CharField(max_length=64)
    layer = models.ForeignKey(
        "experiments.Layer", on_delete=models.PROTECT, null=True, blank=True,
        related_name="experiments",
    )  # fmt: skip
    ranges = models.JSONField(default=list)  # of the layer: [[from, to], ...]

    started_at = models.DateTimeField(null=True, blank=True)
    concluded_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(
        max_length=20, choices=[(v.value, v.value) for v in ANSWERS], blank=True
    )
    winner = models.CharField(max_length=64, blank=True)
    allocated_at = models.DateTimeField(null=True, blank=True)  # when a policy last decided
    analyzed_at = models.DateTimeField(null=True, blank=True)
    analysis_problem = models.JSONField(null=True, blank=True)
    acknowledged = models.JSONField(default=list, db_default=[])  # alarms it was resumed despite
    evidence_at = models.DateTimeField(null=True, blank=True)  # when the registry was told
    evidence_problem = models.JSONField(null=True, blank=True)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(status__in=_STARTED)
                | (Q(started_at__isnull=False) & ~Q(plan_digest="")),
                name="experiment_started_is_frozen",
            ),
            models.CheckConstraint(
                condition=Q(concluded_at__isnull=False, status__in=["concluded", "archived"])
                & ~Q(verdict="")
                | Q(concluded_at__isnull=True, verdict="") & ~Q(status=ExperimentStatus.CONCLUDED),
                name="experiment_concluded_has_verdict",
            ),
            models.CheckConstraint(
                condition=Q(winner="") | Q(verdict=Verdict.WINNER), name="experiment_winner_won"
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="experiment_newest"),
            models.Index(fields=["status", "analyzed_at"], name="experiment_to_analyze"),
            models.Index(
                fields=["concluded_at"],
                name="experiment_evidence_due",
                condition=Q(concluded_at__isnull=False, evidence_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Arm(models.Model):
    """One thing that is tried; position 0 is the control."""

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="arms"
    )
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=64)
    model_uri = models.CharField(max_length=500, blank=True)
    version_id = models.UUIDField(null=True, blank=True)  # what the address meant at the start
    version_digest = models.CharField(max_length=64, blank=True)
    strategy = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "position"], name="arm_position_once"),
            models.UniqueConstraint(fields=["experiment", "name"], name="arm_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Metric(models.Model):
    """One figure by which arms are compared."""

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.CASCADE, related_name="metrics"
    )
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "position"], name="metric_position_once"),
            models.UniqueConstraint(fields=["experiment", "name"], name="metric_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Allocation(models.Model):
    """Shares of the arms from a moment on; append-only, so that exposures know their chances.

    Where shares depend on a context, each has its own; numbers run through all of them.
    """

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.PROTECT, related_name="allocations"
    )
    number = models.PositiveIntegerField()
    context = models.CharField(max_length=64, blank=True, default="", db_default="")
    at = models.DateTimeField()
    weights = models.JSONField()  # in the order of the arms' positions
    cause = models.CharField(max_length=20)  # start, policy, person
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="allocation_number_once")
        ]
        indexes = [
            models.Index(fields=["experiment", "context", "-number"], name="allocation_in_force")
        ]

    def __str__(self) -> str:
        return f"{self.experiment} allocation {self.number}"
