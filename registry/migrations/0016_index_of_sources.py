"""Which versions were registered from an address is found by an index.

Built beside the writers; where that is broken off, an index remains that is not valid: drop it by
its name, and migrate again.
"""

from django.contrib.postgres.indexes import HashIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("registry", "0015_default_policy_bounds_look_ahead")]
    operations = [
        AddIndexConcurrently(
            model_name="modelversion",
            index=HashIndex(fields=["source"], name="version_source"),
        )
    ]
