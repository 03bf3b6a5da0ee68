"""Reproductions and checks by the strategy that they are of, whatever bytes it was read from."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform


class Migration(migrations.Migration):
    atomic = False  # an index that is built beside those who write cannot be built in a transaction
    dependencies = [("registry", "0020_versions_by_scanner")]
    operations = [
        AddIndexConcurrently(
            "evidence",
            models.Index(
                KeyTextTransform("strategy", "digests"), name="evidence_of_strategy",
                condition=models.Q(kind__in=["causality", "reproduction"]),
            ),
        )
    ]  # fmt: skip
