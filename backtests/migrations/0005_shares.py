"""Studies share the workers by user and priority; whose turn it is, two small indexes tell."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("backtests", "0004_store_away")]
    operations = [
        migrations.AddField(
            "run",
            "priority",
            models.CharField(
                choices=[("low", "low"), ("normal", "normal"), ("high", "high")],
                default="normal",
                max_length=10,
            ),
        ),
        migrations.AddIndex(
            "chunk",
            models.Index(
                fields=["run", "first"],
                condition=Q(status="queued", published_at=None),
                name="chunk_unpublished",
            ),
        ),
        migrations.AddIndex(
            "chunk",
            models.Index(
                fields=["run", "first"],
                condition=Q(status="running") | Q(status="queued", published_at__isnull=False),
                name="chunk_in_flight",
            ),
        ),
    ]
