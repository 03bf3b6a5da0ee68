"""Artefacts of runs are kept for as long as a policy says; rows stay."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("backtests", "0005_shares")]
    operations = [
        migrations.AddField("run", "is_kept", models.BooleanField(default=False)),
        migrations.AddField(
            "run", "artifacts_expired_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField(
            "run", "artifacts_removed_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddConstraint(
            "run",
            models.CheckConstraint(
                condition=Q(artifacts_expired_at=None)
                | Q(is_kept=False, finished_at__isnull=False),
                name="run_expired_is_over_and_not_kept",
            ),
        ),
        migrations.AddConstraint(
            "run",
            models.CheckConstraint(
                condition=Q(artifacts_removed_at=None) | Q(artifacts_expired_at__isnull=False),
                name="run_removed_has_expired",
            ),
        ),
    ]
