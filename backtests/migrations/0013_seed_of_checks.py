"""The seed of a causality check, drawn when a worker begins."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backtests", "0012_causality_checks")]
    operations = [
        migrations.AddField("run", "seed", models.UUIDField(null=True, blank=True)),
    ]
