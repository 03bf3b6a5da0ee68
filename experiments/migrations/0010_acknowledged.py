"""Alarms that experiments were resumed despite.

The column has a default in the database, so that web workers that do not know it yet may go on
inserting.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0009_contexts")]
    operations = [
        migrations.AddField(
            model_name="experiment",
            name="acknowledged",
            field=models.JSONField(db_default=[], default=list),
        )
    ]
