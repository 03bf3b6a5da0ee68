"""Bytes that deleted versions named stay, whatever becomes of others that have them.

What was deleted before is known by its digest alone, from the trail: where another version of the
same bytes is still there, its manifest says which these are.
"""

import json

from django.db import migrations, models

BATCH = 1000


def keep_what_was_deleted(apps, _schema_editor):
    events = apps.get_model("core", "AuditEvent").objects
    versions = apps.get_model("registry", "ModelVersion").objects
    kept = apps.get_model("registry", "KeptObject")
    there = {str(key) for key in versions.values_list("public_id", flat=True)}
    made = events.filter(verb__in=["registry.version.registered", "registry.version.converted"])
    deleted = {
        json.loads(canonical)["after"].get("digest")
        for object_id, canonical in made.values_list("object_id", "canonical").iterator(BATCH)
        if object_id not in there
    }
    twins = versions.filter(digest__in=deleted - {None}, files_discarded_at=None)
    for manifest in twins.values_list("manifest", flat=True).iterator(BATCH):
        kept.objects.bulk_create(
            [kept(sha256=file["sha256"]) for file in manifest["files"]], ignore_conflicts=True
        )


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0017_who_answers_and_what_is_discarded"),
        ("core", "0002_audit_append_only"),
    ]
    operations = [
        migrations.CreateModel(
            name="KeptObject",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.CharField(max_length=64, unique=True)),
            ],
        ),
        migrations.RunPython(keep_what_was_deleted, migrations.RunPython.noop),
    ]
