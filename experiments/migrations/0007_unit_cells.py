"""What a unit reports in one period, beside all that it reports.

Columns without a value of each row alone: no table is written anew. What was added up before has no
cells, so that errors of experiments that run are the larger ones that they were without them.
Workers of the version before may go on meanwhile: they leave `cell_at_n` behind the outcomes of the
units that they add to, and what these reported in their newest period is not known then.
"""

from django.db import migrations, models

PRODUCTS = ("nn", "ny", "nx", "yy", "yx", "xx")


class Migration(migrations.Migration):
    dependencies = [("experiments", "0006_exposure_counts")]
    operations = [
        *(
            migrations.AddField("UnitTotal", name, models.FloatField(null=True))
            for name in (
                "cell_n", "cell_total", "cell_x", "cell_n_before", "cell_total_before",
                "cell_x_before",
            )
        ),
        migrations.AddField("UnitTotal", "cell_at_n", models.BigIntegerField(null=True)),
        *(
            migrations.AddField(
                "UnitStatistic", f"{of}_{name}", models.FloatField(db_default=0.0)
            )
            for of in ("cell", "late") for name in PRODUCTS
        ),
    ]  # fmt: skip
