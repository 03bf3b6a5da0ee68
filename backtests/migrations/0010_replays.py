"""A further kind of runs; the table stays as it is."""

from django.db import migrations, models

KINDS = [
    ("backtest", "backtest"),
    ("sweep", "sweep"),
    ("walk_forward", "walk-forward"),
    ("cross_validation", "cross-validation"),
    ("comparison", "comparison"),
    ("replay", "replay"),
    ("reproduction", "reproduction"),
]


class Migration(migrations.Migration):
    dependencies = [("backtests", "0009_tested_version")]
    operations = [
        migrations.AlterField("run", "kind", models.CharField(max_length=30, choices=KINDS)),
    ]
