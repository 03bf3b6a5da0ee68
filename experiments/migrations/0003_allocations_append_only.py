"""Make the shares of arms append-only in the database: exposures refer to them for ever."""

from django.db import migrations

from crowetrade_site.core import append_only

REFUSE = "experiments_allocation_refuse"


class Migration(migrations.Migration):
    dependencies = [("experiments", "0002_outcomes")]
    operations = [
        migrations.RunSQL(
            append_only.refusal(REFUSE, what="the record of allocations")
            + append_only.guards(["experiments_allocation"], prefix="allocation", function=REFUSE),
            append_only.unguarding(REFUSE),
        )
    ]
