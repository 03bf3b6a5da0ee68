"""Which version of a registered model a run speaks for, and what became of its evidence."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("backtests", "0008_kinds_in_words")]
    operations = [
        migrations.AddField("run", "tested_version", models.UUIDField(null=True, blank=True)),
        migrations.AddField(
            "run", "tested_digest", models.CharField(max_length=64, blank=True, default="")
        ),
        migrations.AddField(
            "run", "tested_name", models.CharField(max_length=300, blank=True, default="")
        ),
        migrations.AddField(
            "run", "evidence_asked_at", models.DateTimeField(null=True, blank=True)
        ),
        migrations.AddField("run", "evidence_at", models.DateTimeField(null=True, blank=True)),
        migrations.AddField("run", "evidence_attempts", models.PositiveIntegerField(default=0)),
        migrations.AddField("run", "evidence_problem", models.JSONField(null=True, blank=True)),
        migrations.AddIndex(
            "run",
            models.Index(
                fields=["finished_at"],
                condition=Q(status="succeeded", tested_version__isnull=False, evidence_at=None),
                name="run_evidence_due",
            ),
        ),
        migrations.AddIndex(
            "run",
            models.Index(
                fields=["tested_version"],
                condition=Q(tested_version__isnull=False),
                name="run_tested_version",
            ),
        ),
        migrations.AddConstraint(
            "run",
            models.CheckConstraint(
                condition=Q(tested_version=None, tested_digest="")
                | Q(tested_version__isnull=False) & ~Q(tested_digest=""),
                name="run_tested_version_has_digest",
            ),
        ),
    ]  # fmt: skip
