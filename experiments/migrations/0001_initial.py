"""The tables of experiments."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import experiments.lifecycle
import experiments.plans.decisions


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Layer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("name", models.CharField(max_length=64, unique=True)),
                ("salt", models.CharField(max_length=64)),
                ("holdout", models.FloatField(default=0.0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("holdout__gte", 0.0), ("holdout__lt", 1.0)),
                        name="layer_holdout_is_share",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Experiment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("name", models.CharField(max_length=64, unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("running", "running"),
                            ("paused", "paused"),
                            ("concluded", "concluded"),
                            ("archived", "archived"),
                        ],
                        default=experiments.lifecycle.ExperimentStatus["DRAFT"],
                        max_length=20,
                    ),
                ),
                ("status_changed_at", models.DateTimeField()),
                ("status_reason", models.TextField(blank=True)),
                ("plan", models.JSONField()),
                ("plan_digest", models.CharField(blank=True, max_length=64)),
                ("design", models.CharField(max_length=20)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("salt", models.CharField(max_length=64)),
                ("ranges", models.JSONField(default=list)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("concluded_at", models.DateTimeField(blank=True, null=True)),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("winner", "winner"),
                            ("no_difference", "no_difference"),
                            ("inconclusive", "inconclusive"),
                        ],
                        max_length=20,
                    ),
                ),
                ("winner", models.CharField(blank=True, max_length=64)),
                ("allocated_at", models.DateTimeField(blank=True, null=True)),
                ("analyzed_at", models.DateTimeField(blank=True, null=True)),
                ("analysis_problem", models.JSONField(blank=True, null=True)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "layer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="experiments",
                        to="experiments.layer",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Arm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("name", models.CharField(max_length=64)),
                ("model_uri", models.CharField(blank=True, max_length=500)),
                ("version_id", models.UUIDField(blank=True, null=True)),
                ("version_digest", models.CharField(blank=True, max_length=64)),
                ("strategy", models.CharField(blank=True, max_length=200)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="arms",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Analysis",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("at", models.DateTimeField()),
                ("watermark", models.DateTimeField(blank=True, null=True)),
                ("n_periods", models.PositiveIntegerField()),
                ("findings", models.JSONField()),
                ("decision", models.JSONField()),
                ("verdict", models.CharField(max_length=30)),
                ("digest", models.CharField(max_length=64)),
                ("seconds", models.FloatField()),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="analyses",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Allocation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("at", models.DateTimeField()),
                ("weights", models.JSONField()),
                ("cause", models.CharField(max_length=20)),
                ("reason", models.TextField(blank=True)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="allocations",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Exposure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("unit", models.CharField(max_length=256)),
                ("allocation", models.PositiveIntegerField()),
                ("probability", models.FloatField()),
                ("is_override", models.BooleanField(default=False)),
                ("at", models.DateTimeField()),
                ("attributes", models.JSONField(default=dict)),
                (
                    "arm",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.arm",
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="exposures",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Metric",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("name", models.CharField(max_length=64)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="metrics",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OutcomeKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "experiment_id",
                        "key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("key", models.UUIDField()),
                ("value", models.FloatField()),
                (
                    "experiment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PeriodStatistic",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("allocation", models.PositiveIntegerField()),
                ("period", models.BigIntegerField()),
                ("shard", models.PositiveSmallIntegerField()),
                ("n", models.BigIntegerField()),
                ("total", models.FloatField()),
                ("squares", models.FloatField()),
                ("x_total", models.FloatField(default=0.0)),
                ("x_squares", models.FloatField(default=0.0)),
                ("x_product", models.FloatField(default=0.0)),
                ("changed_at", models.DateTimeField()),
                (
                    "arm",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.arm",
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.experiment",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.metric",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SketchBin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("bin", models.IntegerField()),
                ("shard", models.PositiveSmallIntegerField()),
                ("n", models.BigIntegerField()),
                (
                    "arm",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.arm",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.metric",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reason", models.CharField(max_length=40)),
                ("shard", models.PositiveSmallIntegerField()),
                ("n", models.BigIntegerField()),
                (
                    "experiment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tallies",
                        to="experiments.experiment",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="arm",
            constraint=models.UniqueConstraint(
                fields=("experiment", "position"), name="arm_position_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="arm",
            constraint=models.UniqueConstraint(fields=("experiment", "name"), name="arm_name_once"),
        ),
        migrations.AddConstraint(
            model_name="analysis",
            constraint=models.UniqueConstraint(
                fields=("experiment", "number"), name="analysis_number_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="allocation",
            constraint=models.UniqueConstraint(
                fields=("experiment", "number"), name="allocation_number_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="exposure",
            constraint=models.UniqueConstraint(
                fields=("experiment", "unit"), name="exposure_unit_once"
            ),
        ),
        migrations.AddIndex(
            model_name="experiment",
            index=models.Index(fields=["-created_at", "-id"], name="experiment_newest"),
        ),
        migrations.AddIndex(
            model_name="experiment",
            index=models.Index(fields=["status", "analyzed_at"], name="experiment_to_analyze"),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        (
                            "status__in",
                            [
                                experiments.lifecycle.ExperimentStatus["RUNNING"],
                                experiments.lifecycle.ExperimentStatus["PAUSED"],
                                experiments.lifecycle.ExperimentStatus["CONCLUDED"],
                            ],
                        ),
                        _negated=True,
                    ),
                    models.Q(
                        ("started_at__isnull", False), models.Q(("plan_digest", ""), _negated=True)
                    ),
                    _connector="OR",
                ),
                name="experiment_started_is_frozen",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("concluded_at__isnull", False),
                        ("status__in", ["concluded", "archived"]),
                        models.Q(("verdict", ""), _negated=True),
                    ),
                    models.Q(
                        ("concluded_at__isnull", True),
                        ("verdict", ""),
                        models.Q(
                            ("status", experiments.lifecycle.ExperimentStatus["CONCLUDED"]),
                            _negated=True,
                        ),
                    ),
                    _connector="OR",
                ),
                name="experiment_concluded_has_verdict",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("winner", ""),
                    ("verdict", experiments.plans.decisions.Verdict["WINNER"]),
                    _connector="OR",
                ),
                name="experiment_winner_won",
            ),
        ),
        migrations.AddConstraint(
            model_name="metric",
            constraint=models.UniqueConstraint(
                fields=("experiment", "position"), name="metric_position_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="metric",
            constraint=models.UniqueConstraint(
                fields=("experiment", "name"), name="metric_name_once"
            ),
        ),
        migrations.AddIndex(
            model_name="periodstatistic",
            index=models.Index(fields=["experiment", "-changed_at"], name="statistic_changed"),
        ),
        migrations.AddConstraint(
            model_name="periodstatistic",
            constraint=models.UniqueConstraint(
                fields=("metric", "period", "allocation", "arm", "shard"), name="statistic_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="sketchbin",
            constraint=models.UniqueConstraint(
                fields=("metric", "arm", "bin", "shard"), name="sketch_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="tally",
            constraint=models.UniqueConstraint(
                fields=("experiment", "reason", "shard"), name="tally_once"
            ),
        ),
    ]
