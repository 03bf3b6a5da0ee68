"""Raw outcomes in a table that is partitioned by month; what is of no month lies in a default one.

No foreign keys: a check of each row would cost more than its insertion.
"""

import django.db.models.deletion
from django.db import migrations, models

CREATE = """
CREATE TABLE experiments_outcome (
    experiment_id bigint NOT NULL,
    key uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    metric_id bigint NOT NULL,
    arm_id bigint NOT NULL,
    allocation integer NOT NULL CHECK (allocation >= 0),
    unit varchar(256) NOT NULL,
    value double precision NOT NULL,
    x double precision NULL,
    received_at timestamp with time zone NOT NULL,
    PRIMARY KEY (experiment_id, key, at)
) PARTITION BY RANGE (at);
CREATE TABLE experiments_outcome_default PARTITION OF experiments_outcome DEFAULT;
"""
DROP = "DROP TABLE experiments_outcome;"


class Migration(migrations.Migration):
    dependencies = [("experiments", "0001_initial")]
    operations = [
        migrations.RunSQL(
            CREATE,
            DROP,
            state_operations=[
                migrations.CreateModel(
                    name="Outcome",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "experiment_id",
                                "key",
                                "at",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("key", models.UUIDField()),
                        ("at", models.DateTimeField()),
                        ("allocation", models.PositiveIntegerField()),
                        ("unit", models.CharField(max_length=256)),
                        ("value", models.FloatField()),
                        ("x", models.FloatField(null=True)),
                        ("received_at", models.DateTimeField()),
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
                                related_name="+",
                                to="experiments.experiment",
                            ),
                        ),
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
            ],
        )
    ]
