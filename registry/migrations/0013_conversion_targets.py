"""Conversions have a target, skops or ONNX, and say how far predictions are apart."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0012_indexes_of_versions")]
    operations = [
        migrations.AddField(
            model_name="conversion",
            name="agreement",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="conversion",
            name="target",
            field=models.CharField(
                choices=[("skops", "skops"), ("onnx", "onnx")], default="skops", max_length=10
            ),
        ),
    ]
