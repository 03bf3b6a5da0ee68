"""Files that were handed in, and signatures over versions."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from crowetrade_site.core.models import BaseModel
from registry.lifecycle import ConversionStatus, ConversionTarget, MissingValues


class StoredFile(BaseModel):
    """A file under a path of its own; frozen once a version refers to it.

    The bytes are in the artefact store under their SHA-256; here is what they are called.
    """

    path = models.CharField(max_length=1024, unique=True)
    sha256 = models.CharField(max_length=64)
    n_bytes = models.BigIntegerField()
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    uploaded_at = models.DateTimeField()
    logged_model_id = models.CharField(max_length=64, blank=True)  # of .../models/m-.../artifacts/
    frozen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(n_bytes__gte=0), name="stored_file_size")]
        indexes = [
            models.Index(fields=["path"], name="stored_path", opclasses=["varchar_pattern_ops"]),
            models.Index(
                fields=["logged_model_id"], name="stored_logged_model",
                condition=~Q(logged_model_id=""),
            ),
            models.Index(fields=["sha256"], name="stored_digest"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.path


class LooseObject(models.Model):
    """A stored object that lost its name, or never got one, and since when."""

    sha256 = models.CharField(max_length=64, unique=True)
    loose_since = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.sha256


class KeptObject(models.Model):
    """A stored object that a version named which was deleted: it stays, as the trail names it."""

    sha256 = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        return self.sha256


class Upload(BaseModel):
    """A file that arrives in several requests; what is there of it waits in the spool folder."""

    path = models.CharField(max_length=1024)
    sha256 = models.CharField(max_length=64)
    n_bytes = models.BigIntegerField()
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(n_bytes__gte=0), name="upload_size")]
        indexes = [models.Index(fields=["-created_at", "-id"], name="upload_newest")]

    def __str__(self) -> str:
        return self.path


class SigningBundle(BaseModel):
    """A signature over the files of a version, made outside and verified here."""

    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, related_name="signatures"
    )
    bundle = models.JSONField()
    public_key = models.TextField()
    key_id = models.CharField(max_length=64)
    attached_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    verified_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "key_id"], name="one_signature_per_key")
        ]

    def __str__(self) -> str:
        return f"{self.version} signed with {self.key_id[:12]}"


class Conversion(BaseModel):
    """Somebody's wish to have a model in another format, and what came of it."""

    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, related_name="conversions"
    )
    status = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in ConversionStatus],
        default=ConversionStatus.QUEUED,
    )  # fmt: skip
    target = models.CharField(
        max_length=10, choices=[(t.value, t.value) for t in ConversionTarget],
        default=ConversionTarget.SKOPS,
    )  # fmt: skip
    missing_values = models.CharField(
        max_length=10, choices=[(m.value, m.value) for m in MissingValues],
        default=MissingValues.COMPARE, db_default=MissingValues.COMPARE,
    )  # fmt: skip
    agreement = models.JSONField(default=dict, blank=True)  # how far predictions are apart
    rows = models.JSONField()  # what both models predict: lists, or mappings of column names
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    result = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True)  # why it failed, or waits
    finished_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(status=ConversionStatus.QUEUED),
                name="one_conversion_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status=ConversionStatus.QUEUED, finished_at=None)
                | ~Q(status=ConversionStatus.QUEUED) & Q(finished_at__isnull=False),
                name="conversion_over_has_finished_at",
            ),
            models.CheckConstraint(
                condition=~Q(status=ConversionStatus.FAILED) | ~Q(reason=""),
                name="conversion_failed_has_reason",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.version} to {self.target}"


class TrustedType(BaseModel):
    """A type that a desk's skops files may name beside the registry's own list.

    One person proposes it and another approves it, by the service and by the database.
    """

    desk = models.CharField(max_length=100)
    name = models.CharField(max_length=300)
    reason = models.TextField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["desk", "name"], condition=Q(revoked_at=None), name="trusted_type_once"
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
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="trusted_type_newest")]

    def __str__(self) -> str:
        return f"{self.name} of {self.desk}"

    @property
    def state(self) -> str:
        """How it stands: proposed, trusted or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "proposed" if self.approved_at is None else "trusted"
