"""Whether the registry has been told what a concluded experiment measured."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0003_allocations_append_only")]
    operations = [
        migrations.AddField("experiment", "evidence_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "experiment", "evidence_problem", models.JSONField(blank=True, null=True)
        ),
        migrations.AddIndex(
            "experiment",
            models.Index(
                fields=["concluded_at"],
                name="experiment_evidence_due",
                condition=models.Q(concluded_at__isnull=False, evidence_at=None),
            ),
        ),
    ]
