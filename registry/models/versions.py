"""Registered models, their versions and aliases."""

from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, HashIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from crowetrade_site.core.models import BaseModel
from registry.lifecycle import Stage, VersionStatus
from registry.querysets import (
    WORDS_OF_MODEL,
    WORDS_OF_VERSION,
    ModelVersionQuerySet,
    RegisteredModelQuerySet,
    trigrams_of,
)


class RegisteredModel(BaseModel):
    """A name under which versions are registered, with what an inventory asks for."""

    name = models.CharField(max_length=256, unique=True)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    desk = models.CharField(max_length=100, blank=True)
    purpose = models.TextField(blank=True)
    tier = models.CharField(max_length=20, blank=True)  # of materiality
    operators = ArrayField(models.CharField(max_length=150), default=list, blank=True)
    limits = models.JSONField(default=dict, blank=True)
    dependencies = ArrayField(models.CharField(max_length=255), default=list, blank=True)
    review_date = models.DateField(null=True, blank=True)
    tags = models.JSONField(default=dict, blank=True)
    policy = models.CharField(max_length=80, default="default")
    # who answers for the choice; nobody for the policy that a model begins with
    policy_assigned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    policy_assigned_at = models.DateTimeField(null=True, blank=True)
    n_numbers = models.PositiveIntegerField("version numbers given", default=0)
    changed_at = models.DateTimeField()
    words = models.GeneratedField(
        expression=WORDS_OF_MODEL, output_field=SearchVectorField(), db_persist=True
    )

    objects = RegisteredModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("name"), name="model_name_any_case"),
            models.CheckConstraint(
                condition=Q(policy_assigned_by=None, policy_assigned_at=None)
                | Q(policy_assigned_by__isnull=False, policy_assigned_at__isnull=False),
                name="policy_assigned_at",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="model_newest"),
            models.Index(fields=["-changed_at", "-id"], name="model_changed"),
            GinIndex(fields=["tags"], name="model_tags"),
            GinIndex(fields=["words"], name="model_words"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelVersion(BaseModel):
    """One immutable set of files under a number, and where it is in its life."""

    registered_model = models.ForeignKey(
        "registry.RegisteredModel", on_delete=models.PROTECT, related_name="versions"
    )
    number = models.PositiveIntegerField()
    stage = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in Stage], default=Stage.DEVELOPMENT
    )
    stage_changed_at = models.DateTimeField()
    status = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in VersionStatus],
        default=VersionStatus.PENDING,
    )  # fmt: skip
    status_message = models.TextField(blank=True)
    findings = models.JSONField(default=list)
    scanned_by = models.CharField(max_length=16, blank=True)  # revision of the scanner, the last
    # found by newer rules in a version of production, which keeps its status
    rescan_failed_at = models.DateTimeField(null=True, blank=True)
    rescan_findings = models.JSONField(default=list, blank=True)
    left_development_at = models.DateTimeField(null=True, blank=True)
    # when it last became so; none once it left production otherwise than by being superseded
    was_production_at = models.DateTimeField(null=True, blank=True)
    compromised_at = models.DateTimeField(null=True, blank=True)
    is_held = models.BooleanField("legal hold", default=False)
    files_discarded_at = models.DateTimeField(null=True, blank=True)  # of what was refused, by rule

    digest = models.CharField(max_length=64)
    manifest = models.JSONField()
    n_files = models.PositiveIntegerField("files")
    n_bytes = models.BigIntegerField("bytes")
    allows_duplicate = models.BooleanField(default=False)
    format = models.CharField(max_length=30, blank=True)
    model_path = models.CharField(max_length=1024, blank=True)  # of the file that the model is
    trusted_types = ArrayField(  # of its desk's list, that its files need
        models.CharField(max_length=300), default=list, blank=True
    )
    signature = models.JSONField(default=dict, blank=True)
    framework = models.JSONField(default=dict, blank=True)

    description = models.TextField(blank=True)
    source = models.CharField(max_length=2000, blank=True)
    run_id = models.CharField(max_length=64, blank=True)
    run_link = models.CharField(max_length=2000, blank=True)
    logged_model_id = models.CharField(max_length=64, blank=True)
    copied_from = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="copies"
    )
    datasets = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    code_revision = models.CharField(max_length=100, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    tags = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    changed_at = models.DateTimeField()

    attempt = models.PositiveIntegerField(default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    words = models.GeneratedField(
        expression=WORDS_OF_VERSION, output_field=SearchVectorField(), db_persist=True
    )

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["registered_model", "number"], name="version_number"),
            models.UniqueConstraint(
                fields=["registered_model"], condition=Q(stage=Stage.PRODUCTION),
                name="one_production_version",
            ),
            models.UniqueConstraint(
                fields=["registered_model", "digest"],
                condition=Q(allows_duplicate=False) & ~Q(status=VersionStatus.REFUSED),
                name="version_digest_once",
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_positive"),
            models.CheckConstraint(
                condition=Q(files_discarded_at=None)
                | Q(status=VersionStatus.REFUSED, is_held=False),
                name="version_discarded_is_refused",
            ),
            models.CheckConstraint(
                condition=Q(stage__in=[Stage.DEVELOPMENT, Stage.ARCHIVED])
                | Q(left_development_at__isnull=False),
                name="version_left_development",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["stage", "-changed_at"], name="version_stage"),
            models.Index(fields=["stage", "-created_at", "-id"], name="version_stage_newest"),
            models.Index(  # few wait for a look, are in quarantine, or were refused
                fields=["status", "-created_at"],
                name="version_not_ready",
                condition=~Q(status=VersionStatus.READY),
            ),
            models.Index(  # counted on the admin's first page
                fields=["scanned_by"],
                name="version_scanned_by",
                condition=Q(status=VersionStatus.READY, compromised_at=None),
            ),
            models.Index(fields=["digest"], name="version_digest"),
            models.Index(fields=["-created_at", "-id"], name="version_newest"),
            models.Index(fields=["-changed_at", "-id"], name="version_changed"),
            models.Index(fields=["run_id"], name="version_run", condition=~Q(run_id="")),
            GinIndex(fields=["tags"], name="version_tags"),
            GinIndex(fields=["words"], name="version_words"),
            GinIndex(fields=["datasets"], name="version_datasets"),
            GinIndex(trigrams_of(F("source")), name="version_source_parts"),
            HashIndex(fields=["source"], name="version_source"),
        ]

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Read it again, and its aliases when they are asked for."""
        vars(self).pop("alias_names", None)
        super().refresh_from_db(*args, **kwargs)

    @property
    def model_name(self) -> str:
        """Return the name of its model."""
        return self.registered_model.name

    @property
    def author_name(self) -> str:
        """Return the name of who registered it."""
        return self.created_by.get_username()

    @cached_property
    def alias_names(self) -> list[str]:
        """Return its aliases in their order; those that were listed brought them along."""
        return list(self.aliases.order_by("alias").values_list("alias", flat=True))

    def __str__(self) -> str:
        return f"{self.registered_model} v{self.number}"


class ModelAlias(models.Model):
    """A word for one version of a model, free to move."""

    registered_model = models.ForeignKey(
        "registry.RegisteredModel", on_delete=models.CASCADE, related_name="aliases"
    )
    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.CASCADE, related_name="aliases"
    )
    alias = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "model aliases"
        constraints = [
            models.UniqueConstraint(fields=["registered_model", "alias"], name="alias_once")
        ]

    def __str__(self) -> str:
        return self.alias
