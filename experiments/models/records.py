"""What is recorded while an experiment runs: exposures, outcomes, sums of them, analyses.

Outcomes are kept raw in a table that is partitioned by month, for as long as the policy of the
installation says. No analysis reads them: it reads `PeriodStatistic`, which every batch adds to.
Exposures and the two tables with a row an outcome have no foreign keys in the database, whose
checks would be the dearest part of a request: what refers to what is looked up before.
"""

from django.db import models


class Exposure(models.Model):
    """A unit met its arm, once; what it meets later is the same."""

    experiment = models.ForeignKey(
        "experiments.Experiment",
        on_delete=models.PROTECT,
        related_name="exposures",
        db_index=False,
        db_constraint=False,
    )
    unit = models.CharField(max_length=256)
    arm = models.ForeignKey(
        "experiments.Arm",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    allocation = models.PositiveIntegerField()  # the number of the shares in force
    context = models.CharField(max_length=64, blank=True, default="", db_default="")
    probability = models.FloatField()
    is_override = models.BooleanField(default=False)
    at = models.DateTimeField()
    attributes = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "unit"], name="exposure_unit_once")
        ]

    def __str__(self) -> str:
        return f"{self.unit} in {self.experiment_id}"


class OutcomeKey(models.Model):
    """Which outcomes have been counted, whatever their time: what makes a retry harmless."""

    pk = models.CompositePrimaryKey("experiment_id", "key")
    experiment = models.ForeignKey(
        "experiments.Experiment",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    key = models.UUIDField()  # the first half of the SHA-256 of the key that was sent
    value = models.FloatField()

    def __str__(self) -> str:
        return str(self.key)


class Outcome(models.Model):
    """One outcome as it came; a table partitioned by month of `at`."""

    pk = models.CompositePrimaryKey("experiment_id", "key", "at")
    experiment = models.ForeignKey(
        "experiments.Experiment",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    key = models.UUIDField()
    at = models.DateTimeField()
    metric = models.ForeignKey(
        "experiments.Metric",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    arm = models.ForeignKey(
        "experiments.Arm",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    allocation = models.PositiveIntegerField()
    unit = models.CharField(max_length=256)
    value = models.FloatField()
    x = models.FloatField(null=True)
    received_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.unit or self.arm_id} at {self.at}"


class PeriodStatistic(models.Model):
    """Sums over the outcomes of one period, allocation and arm, kept up by addition.

    `shard` spreads the rows that are being added to; readers sum over it.
    """

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    metric = models.ForeignKey(
        "experiments.Metric", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    arm = models.ForeignKey(
        "experiments.Arm", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    allocation = models.PositiveIntegerField()
    period = models.BigIntegerField()  # its start [UTC ns]
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()
    total = models.FloatField()
    squares = models.FloatField()
    x_total = models.FloatField(default=0.0)
    x_squares = models.FloatField(default=0.0)
    x_product = models.FloatField(default=0.0)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["metric", "period", "allocation", "arm", "shard"], name="statistic_once"
            )
        ]
        indexes = [
            models.Index(fields=["experiment", "-changed_at"], name="statistic_changed"),
            models.Index(
                fields=["experiment", "period"], name="statistic_shards",
                condition=models.Q(shard__gt=0),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.metric_id} at {self.period}"


class UnitTotal(models.Model):
    """What a unit's outcomes of one metric come to: of a unit that may report again and again."""

    pk = models.CompositePrimaryKey("metric_id", "unit")
    metric = models.ForeignKey(
        "experiments.Metric",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    unit = models.CharField(max_length=256)
    n = models.BigIntegerField()
    total = models.FloatField()
    x_total = models.FloatField()
    newest = models.BigIntegerField()  # start of the newest of its periods [UTC ns]
    # What it reported in that period; null where that began before this was kept.
    cell_n = models.FloatField(null=True)
    cell_total = models.FloatField(null=True)
    cell_x = models.FloatField(null=True)
    # What `n` was when that was written: where it is another, a version that keeps no cells has
    # added since, and what the unit reported in its newest period is not known.
    cell_at_n = models.BigIntegerField(null=True)
    # The same without the last batch: what products grow by is reckoned from what there was, and
    # a difference of totals would lose its digits.
    total_before = models.FloatField(null=True)
    x_total_before = models.FloatField(null=True)
    newest_before = models.BigIntegerField(null=True)
    cell_n_before = models.FloatField(null=True)
    cell_total_before = models.FloatField(null=True)
    cell_x_before = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"{self.unit} of {self.metric_id}"


class UnitStatistic(models.Model):
    """What a period added to the sums over units of their totals and the products of these.

    An outcome that comes late counts from the newest period of its unit on. The products are of a
    unit's number of outcomes (n), their total (y) and that of x; those of a cell are of what it
    reported in one period, those of late ones of what came to a cell after newer periods. Sharded
    and folded as `PeriodStatistic`.
    """

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    metric = models.ForeignKey(
        "experiments.Metric", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    arm = models.ForeignKey(
        "experiments.Arm", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    allocation = models.PositiveIntegerField()
    period = models.BigIntegerField()  # its start [UTC ns]
    shard = models.PositiveSmallIntegerField()
    units = models.BigIntegerField()  # that reported for the first time
    counted = models.BigIntegerField()  # outcomes
    total = models.FloatField()
    x_total = models.FloatField()
    nn = models.FloatField()
    ny = models.FloatField()
    nx = models.FloatField()
    yy = models.FloatField()
    yx = models.FloatField()
    xx = models.FloatField()
    cell_nn = models.FloatField(db_default=0.0)
    cell_ny = models.FloatField(db_default=0.0)
    cell_nx = models.FloatField(db_default=0.0)
    cell_yy = models.FloatField(db_default=0.0)
    cell_yx = models.FloatField(db_default=0.0)
    cell_xx = models.FloatField(db_default=0.0)
    late_nn = models.FloatField(db_default=0.0)
    late_ny = models.FloatField(db_default=0.0)
    late_nx = models.FloatField(db_default=0.0)
    late_yy = models.FloatField(db_default=0.0)
    late_yx = models.FloatField(db_default=0.0)
    late_xx = models.FloatField(db_default=0.0)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["metric", "period", "allocation", "arm", "shard"],
                name="unit_statistic_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["experiment", "period"], name="unit_statistic_shards",
                condition=models.Q(shard__gt=0),
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.metric_id} by unit at {self.period}"


class ExposureCount(models.Model):
    """How many units met an arm under an allocation, overridden ones left out; sharded."""

    experiment = models.ForeignKey(
        "experiments.Experiment",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    arm = models.ForeignKey(
        "experiments.Arm",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    allocation = models.PositiveIntegerField()
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "allocation", "arm", "shard"], name="exposure_count_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.n} units in {self.arm_id}"


class SketchBin(models.Model):
    """How many outcomes of an arm lie in one bin of a logarithmic sketch, for quantiles."""

    metric = models.ForeignKey(
        "experiments.Metric", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    arm = models.ForeignKey(
        "experiments.Arm", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    bin = models.IntegerField()
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["metric", "arm", "bin", "shard"], name="sketch_once")
        ]

    def __str__(self) -> str:
        return f"{self.metric_id} bin {self.bin}"


class Tally(models.Model):
    """How many outcomes were taken, and how many were not, for which reason."""

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.PROTECT, related_name="tallies", db_index=False
    )
    reason = models.CharField(max_length=40)
    shard = models.PositiveSmallIntegerField()
    n = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "reason", "shard"], name="tally_once")
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {self.n}"


class Analysis(models.Model):
    """One look at an experiment: what was found, and what it means by the plan."""

    experiment = models.ForeignKey(
        "experiments.Experiment", on_delete=models.PROTECT, related_name="analyses"
    )
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    watermark = models.DateTimeField(null=True, blank=True)
    n_periods = models.PositiveIntegerField()
    findings = models.JSONField()
    decision = models.JSONField()
    verdict = models.CharField(max_length=30)
    digest = models.CharField(max_length=64)
    seconds = models.FloatField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "number"], name="analysis_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} analysis {self.number}"
