"""Contexts: whose shares an allocation is of, and which context a unit met its arm in.

Both columns have a default in the database, so that no row is written anew and workers that do not
know them yet may go on inserting.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0008_shards_to_fold")]
    operations = [
        migrations.AddField(
            model_name="allocation",
            name="context",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="exposure",
            name="context",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddIndex(
            model_name="allocation",
            index=models.Index(
                fields=["experiment", "context", "-number"], name="allocation_in_force"
            ),
        ),
    ]
