"""Work waits for an artefact store that is away, instead of failing."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backtests", "0003_ledger_append_only")]
    operations = [
        migrations.AddField("run", "store_away_since", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("chunk", "resumptions", models.PositiveIntegerField(default=0)),
    ]
