"""Conversions to ONNX say whether rows with missing values were compared, or are refused.

The database knows the default, so that workers of the release before can write rows meanwhile.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0013_conversion_targets")]
    operations = [
        migrations.AddField(
            model_name="conversion",
            name="missing_values",
            field=models.CharField(
                choices=[("compare", "compare"), ("refuse", "refuse")],
                db_default="compare",
                default="compare",
                max_length=10,
            ),
        ),
    ]
