"""Ready versions are found by the rules that admitted them, on the first page of the admin."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0019_revision_of_the_scanner")]
    operations = [
        migrations.AddIndex(
            "modelversion",
            models.Index(
                fields=["scanned_by"], name="version_scanned_by",
                condition=models.Q(status="ready", compromised_at=None),
            ),
        ),
    ]  # fmt: skip
