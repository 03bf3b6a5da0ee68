"""Sums over units, for units that report again and again.

Totals of units are updated in place by every batch: pages leave room for that.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0004_evidence")]
    operations = [
        migrations.CreateModel(
            name="UnitTotal",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "metric_id",
                        "unit",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("unit", models.CharField(max_length=256)),
                ("n", models.BigIntegerField()),
                ("total", models.FloatField()),
                ("x_total", models.FloatField()),
                ("newest", models.BigIntegerField()),
                ("total_before", models.FloatField(null=True)),
                ("x_total_before", models.FloatField(null=True)),
                ("newest_before", models.BigIntegerField(null=True)),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="experiments.metric",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(
            "ALTER TABLE experiments_unittotal SET (fillfactor = 75)", migrations.RunSQL.noop
        ),
        migrations.CreateModel(
            name="UnitStatistic",
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
                ("units", models.BigIntegerField()),
                ("counted", models.BigIntegerField()),
                ("total", models.FloatField()),
                ("x_total", models.FloatField()),
                ("nn", models.FloatField()),
                ("ny", models.FloatField()),
                ("nx", models.FloatField()),
                ("yy", models.FloatField()),
                ("yx", models.FloatField()),
                ("xx", models.FloatField()),
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
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["metric", "period", "allocation", "arm", "shard"],
                        name="unit_statistic_once",
                    )
                ]
            },
        ),
    ]
