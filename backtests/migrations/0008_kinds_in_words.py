"""Kinds of runs as people write them; the table stays as it is."""

from django.db import migrations, models

KINDS = [
    ("backtest", "backtest"),
    ("sweep", "sweep"),
    ("walk_forward", "walk-forward"),
    ("cross_validation", "cross-validation"),
    ("comparison", "comparison"),
    ("reproduction", "reproduction"),
]


class Migration(migrations.Migration):
    dependencies = [("backtests", "0007_kept_by")]
    operations = [
        migrations.AlterField("run", "kind", models.CharField(max_length=30, choices=KINDS)),
    ]
