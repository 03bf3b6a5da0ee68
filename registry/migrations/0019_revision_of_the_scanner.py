"""By which rules files of a version were looked at, and what newer ones found in production."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0018_kept_objects")]
    operations = [
        migrations.AddField(
            "modelversion", "scanned_by", models.CharField(blank=True, default="", max_length=16),
            preserve_default=False,
        ),
        migrations.AddField(
            "modelversion", "rescan_failed_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField(
            "modelversion", "rescan_findings", models.JSONField(blank=True, default=list)
        ),
    ]  # fmt: skip
