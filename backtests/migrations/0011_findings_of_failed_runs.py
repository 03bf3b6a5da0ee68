"""A reproduction that came to other bytes is evidence, too: the index of what is due has it.

Built beside the writers, and before the old one goes; where that is broken off, an index remains
that is not valid: drop it by its name, and migrate again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q

OF_A_RUN = ["causality_check", "reproduction"]
FINDINGS = Q(status="succeeded") | Q(Q(status="failed", kind__in=OF_A_RUN), ~Q(result_digest=""))


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("backtests", "0010_replays")]
    operations = [
        AddIndexConcurrently(
            model_name="run",
            index=models.Index(
                fields=["finished_at"],
                condition=FINDINGS & Q(tested_version__isnull=False, evidence_at=None),
                name="run_findings_due",
            ),
        ),
        RemoveIndexConcurrently(model_name="run", name="run_evidence_due"),
    ]
