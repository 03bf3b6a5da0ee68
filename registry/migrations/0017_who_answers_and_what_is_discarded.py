"""Who assigned a model's policy answers for it; files of refused versions may be discarded.

Who assigned policies before is read off the trail: its newest entry about the model. One whose
account is gone assigned nothing that anybody could be asked about.
"""

import json

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

BATCH = 1000


def read_off_the_trail(apps, _schema_editor):
    events = apps.get_model("core", "AuditEvent").objects
    registered = apps.get_model("registry", "RegisteredModel").objects
    people = dict(apps.get_model("auth", "User").objects.values_list("username", "pk"))
    assigned = events.filter(
        verb="registry.policy.assigned", object_type="registry.RegisteredModel"
    )
    newest = {}
    rows = assigned.order_by("id").values_list("object_id", "actor", "at", "canonical")
    for object_id, actor, at, canonical in rows.iterator(chunk_size=BATCH):
        newest[object_id] = (actor, at, json.loads(canonical)["after"].get("policy"))
    for object_id, (actor, at, policy) in newest.items():
        if actor in people:
            registered.filter(public_id=object_id, policy=policy).update(
                policy_assigned_by=people[actor], policy_assigned_at=at
            )


def person():
    return models.ForeignKey(
        blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+",
        to=settings.AUTH_USER_MODEL,
    )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0016_index_of_sources"),
        ("core", "0002_audit_append_only"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddField("registeredmodel", "policy_assigned_by", person()),
        migrations.AddField(
            "registeredmodel", "policy_assigned_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField("approval", "policy_stored_by", person()),
        migrations.AddField("approval", "policy_assigned_by", person()),
        migrations.AddField(
            "modelversion", "files_discarded_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddConstraint(
            "registeredmodel",
            models.CheckConstraint(
                condition=Q(policy_assigned_by=None, policy_assigned_at=None)
                | Q(policy_assigned_by__isnull=False, policy_assigned_at__isnull=False),
                name="policy_assigned_at",
            ),
        ),
        migrations.AddConstraint(
            "approval",
            models.CheckConstraint(
                condition=Q(policy_stored_by=None) | ~Q(approver=F("policy_stored_by")),
                name="approver_stored_no_policy",
            ),
        ),
        migrations.AddConstraint(
            "approval",
            models.CheckConstraint(
                condition=Q(policy_assigned_by=None) | ~Q(approver=F("policy_assigned_by")),
                name="approver_assigned_no_policy",
            ),
        ),
        migrations.AddConstraint(
            "modelversion",
            models.CheckConstraint(
                condition=Q(files_discarded_at=None) | Q(status="refused", is_held=False),
                name="version_discarded_is_refused",
            ),
        ),
        # last: a table with rows whose foreign keys are still to be checked takes no ALTER
        migrations.RunPython(read_off_the_trail, migrations.RunPython.noop),
    ]
