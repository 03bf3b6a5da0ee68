"""Stored objects that nothing names any more, and may go after a grace."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0005_compromised_is_final")]
    operations = [
        migrations.CreateModel(
            name="LooseObject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(max_length=64, unique=True)),
                ("loose_since", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
