"""A further kind of runs, which like reproductions are of another run.

The new rule is added without a look at the rows and proven beside the writers, before the old one
goes, which lets in none of the new kind.
"""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models
from django.db.models import Q

KINDS = [
    ("backtest", "backtest"),
    ("sweep", "sweep"),
    ("walk_forward", "walk-forward"),
    ("cross_validation", "cross-validation"),
    ("comparison", "comparison"),
    ("replay", "replay"),
    ("reproduction", "reproduction"),
    ("causality_check", "causality-check"),
]
OF_A_RUN = ["causality_check", "reproduction"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("backtests", "0011_findings_of_failed_runs")]
    operations = [
        migrations.AlterField("run", "kind", models.CharField(max_length=30, choices=KINDS)),
        AddConstraintNotValid(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=Q(kind__in=OF_A_RUN, reproduces__isnull=False)
                | ~Q(kind__in=OF_A_RUN) & Q(reproduces=None),
                name="run_of_a_run_has_original",
            ),
        ),
        ValidateConstraint(model_name="run", name="run_of_a_run_has_original"),
        migrations.RemoveConstraint(model_name="run", name="run_reproduction_has_original"),
    ]
