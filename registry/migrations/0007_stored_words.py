"""The words of models and versions are kept beside each row; searches had worked them out anew.

The newest of a stage, and those that are not ready, are found by indexes of their own.
"""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import migrations, models


def _words(*columns: str) -> models.GeneratedField:
    tags = models.Func(
        models.F("tags"),
        output_field=SearchVectorField(),
        template="""jsonb_to_tsvector('simple', %(expressions)s, '"all"')""",
    )
    expression = models.Func(
        SearchVector(*columns, config="simple"),
        tags,
        arg_joiner=" || ",
        output_field=SearchVectorField(),
        template="(%(expressions)s)",
    )
    return models.GeneratedField(
        expression=expression, output_field=SearchVectorField(), db_persist=True
    )


class Migration(migrations.Migration):
    dependencies = [("registry", "0006_loose_objects")]
    operations = [
        migrations.RemoveIndex(model_name="modelversion", name="version_words"),
        migrations.RemoveIndex(model_name="registeredmodel", name="model_words"),
        migrations.AddField(
            model_name="modelversion",
            name="words",
            field=_words("description", "source", "run_id", "code_revision"),
        ),
        migrations.AddField(
            model_name="registeredmodel",
            name="words",
            field=_words("name", "description", "purpose", "desk"),
        ),
        migrations.AddIndex(
            model_name="modelversion", index=GinIndex(fields=["words"], name="version_words")
        ),
        migrations.AddIndex(
            model_name="registeredmodel", index=GinIndex(fields=["words"], name="model_words")
        ),
        migrations.RemoveIndex(model_name="modelversion", name="version_stage"),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(fields=["stage", "-changed_at"], name="version_stage"),
        ),
        migrations.AddIndex(
            model_name="modelversion",
            index=models.Index(
                fields=["status", "-created_at"],
                name="version_not_ready",
                condition=models.Q(("status", "ready"), _negated=True),
            ),
        ),
    ]
