"""What stands anywhere in a source is found by an index of its parts, without an extension.

The newest of a stage have an index of their own, too. Both are built beside the writers; where that
is broken off, an index remains that is not valid: drop it by its name, and migrate again.
"""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("registry", "0011_parts_of_sources")]
    operations = [
        AddIndexConcurrently(
            model_name="modelversion",
            index=models.Index(
                fields=["stage", "-created_at", "-id"], name="version_stage_newest"
            ),
        ),
        AddIndexConcurrently(
            model_name="modelversion",
            index=django.contrib.postgres.indexes.GinIndex(
                models.Func(
                    models.F("source"),
                    function="registry_trigrams",
                    output_field=django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), size=None
                    ),
                ),
                name="version_source_parts",
            ),
        ),
    ]
