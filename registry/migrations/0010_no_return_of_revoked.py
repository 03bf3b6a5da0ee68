"""A rollback brings back what was superseded, and nothing else that was in production once."""

from django.db import migrations

MOVES = [
    f"registry.version.{verb}"
    for verb in (
        "submitted", "promoted", "superseded", "reworked", "revoked", "revived", "rolled_back",
        "restored",
    )
]  # fmt: skip


def forget(apps, _schema_editor):
    versions = apps.get_model("registry", "ModelVersion").objects
    events = apps.get_model("core", "AuditEvent").objects
    left = versions.filter(was_production_at__isnull=False).exclude(stage="production")
    for pk, public_id in list(left.values_list("pk", "public_id")):
        moves = events.filter(
            object_type="registry.ModelVersion", object_id=str(public_id), verb__in=MOVES
        )
        last = moves.order_by("-id").values_list("verb", flat=True).first()
        if last != "registry.version.superseded":
            versions.filter(pk=pk).update(was_production_at=None)


class Migration(migrations.Migration):
    dependencies = [("registry", "0009_revoked_waivers"), ("core", "0002_audit_append_only")]
    operations = [migrations.RunPython(forget, migrations.RunPython.noop)]
