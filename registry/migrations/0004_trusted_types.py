"""Types that desks trust beside the registry's list, and which versions need them."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q


def _person(**more):
    return models.ForeignKey(
        on_delete=django.db.models.deletion.PROTECT, related_name="+",
        to=settings.AUTH_USER_MODEL, **more,
    )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0003_conversions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="trusted_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=300), blank=True, default=list, size=None
            ),
        ),
        migrations.CreateModel(
            name="TrustedType",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "public_id",
                    models.UUIDField(default=uuid.uuid4, editable=False, unique=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("desk", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=300)),
                ("reason", models.TextField()),
                ("proposed_at", models.DateTimeField()),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("approved_by", _person(blank=True, null=True)),
                ("proposed_by", _person()),
                ("revoked_by", _person(blank=True, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-created_at", "-id"], name="trusted_type_newest")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["desk", "name"],
                        condition=Q(revoked_at=None),
                        name="trusted_type_once",
                    ),
                    models.CheckConstraint(
                        condition=Q(approved_by=None) | ~Q(approved_by=F("proposed_by")),
                        name="trusted_type_four_eyes",
                    ),
                    models.CheckConstraint(
                        condition=Q(approved_by=None, approved_at=None)
                        | Q(approved_by__isnull=False, approved_at__isnull=False),
                        name="trusted_type_approved_at",
                    ),
                ],
            },
        ),
    ]
