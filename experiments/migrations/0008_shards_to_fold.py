"""Rows that may be folded are found by an index of them alone, however many are folded already.

Both indexes are built beside the writers; where that is broken off, an index remains that is not
valid: drop it by its name, and migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("experiments", "0007_unit_cells")]
    operations = [
        AddIndexConcurrently(
            model_name=model,
            index=models.Index(
                fields=["experiment", "period"], name=name, condition=models.Q(shard__gt=0)
            ),
        )
        for model, name in (
            ("periodstatistic", "statistic_shards"),
            ("unitstatistic", "unit_statistic_shards"),
        )
    ]
