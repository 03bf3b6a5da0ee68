"""Units by arm and allocation, counted as they meet their arms.

Exposures that are there already are counted once, under the shard that folding uses.
"""

import django.db.models.deletion
from django.db import migrations, models

COUNT = """
INSERT INTO experiments_exposurecount (experiment_id, allocation, arm_id, shard, n)
SELECT experiment_id, allocation, arm_id, 0, count(*) FROM experiments_exposure
WHERE NOT is_override GROUP BY experiment_id, allocation, arm_id
"""


class Migration(migrations.Migration):
    dependencies = [("experiments", "0005_unit_sums")]
    operations = [
        migrations.CreateModel(
            name="ExposureCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("allocation", models.PositiveIntegerField()),
                ("shard", models.PositiveSmallIntegerField()),
                ("n", models.BigIntegerField()),
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
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["experiment", "allocation", "arm", "shard"],
                        name="exposure_count_once",
                    )
                ]
            },
        ),
        migrations.RunSQL(COUNT, migrations.RunSQL.noop),
    ]
