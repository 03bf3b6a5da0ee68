"""What every app stands on: the audit trail, its seals, access tokens, idempotency keys."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class BaseModel(models.Model):
    """A row with a public name and its times."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class AuditEvent(models.Model):
    """One thing that happened; append-only, enforced by triggers.

    `canonical` is the exact text that `leaf` hashes; the other columns repeat parts of it
    for searching, and verification compares them with it.
    """

    event_id = models.UUIDField(unique=True, editable=False)
    at = models.DateTimeField(db_index=True)
    verb = models.CharField(max_length=100)
    actor = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    object_type = models.CharField(max_length=100)
    object_id = models.CharField(max_length=64)
    canonical = models.TextField()
    leaf = models.BinaryField(max_length=32)

    class Meta:
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
            models.Index(fields=["verb", "at"], name="audit_verb"),
            models.Index(fields=["actor", "at"], name="audit_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} by {self.actor}"


class AuditSeal(models.Model):
    """A signed Merkle root over committed entries, linked to the seal before; append-only."""

    number = models.BigIntegerField(primary_key=True)
    sealed_at = models.DateTimeField()
    count = models.PositiveIntegerField()
    horizon = models.DecimalField(max_digits=20, decimal_places=0)
    statement = models.TextField()
    digest = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    key_id = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(number__gte=1), name="seal_number_positive"),
            models.CheckConstraint(condition=models.Q(count__gte=1), name="seal_not_empty"),
        ]

    def __str__(self) -> str:
        return f"seal {self.number} over {self.count} entries"


class AuditSealItem(models.Model):
    """Which seal holds an entry, and at which leaf; append-only."""

    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, primary_key=True)
    seal = models.ForeignKey(AuditSeal, on_delete=models.PROTECT, related_name="items")
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["seal", "position"], name="seal_item_position")
        ]

    def __str__(self) -> str:
        return f"entry {self.event_id} in seal {self.seal_id}"


class ApiToken(BaseModel):
    """A client's key to the API; only its SHA-256 is kept."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=40))
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyKey(models.Model):
    """A client's word that a request is the same one; written with what the request made."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    object_id = models.UUIDField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_use_per_key")]

    def __str__(self) -> str:
        return self.key
