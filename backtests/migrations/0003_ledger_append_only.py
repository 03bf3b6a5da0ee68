"""Make the ledger of trials append-only in the database itself, as the audit trail is."""

from django.db import migrations

from crowetrade_site.core import append_only

TABLES = ("backtests_trialbatch", "backtests_ledgerscope")
REFUSE = "backtests_ledger_refuse"


class Migration(migrations.Migration):
    dependencies = [("backtests", "0002_studies")]
    operations = [
        migrations.RunSQL(
            append_only.refusal(REFUSE, what="the ledger of trials")
            + append_only.guards(TABLES, prefix="ledger", function=REFUSE),
            append_only.unguarding(REFUSE),
        )
    ]
