"""Policies, evidence, requests for promotion and approvals."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KeyTextTransform

from crowetrade_site.core.models import BaseModel
from registry.lifecycle import EvidenceStatus, RequestStatus, Stage


class PromotionPolicy(BaseModel):
    """One version of the gates that a model must meet, never changed."""

    name = models.SlugField(max_length=80)
    number = models.PositiveIntegerField()
    text = models.TextField()
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    stored_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "promotion policies"
        constraints = [
            models.UniqueConstraint(fields=["name", "number"], name="policy_number"),
            models.CheckConstraint(condition=Q(number__gte=1), name="policy_number_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


class Evidence(BaseModel):
    """Something that speaks for a version: measured by a worker, or attested by a person."""

    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, related_name="evidence"
    )
    kind = models.CharField(max_length=40)
    is_measured = models.BooleanField()
    status = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in EvidenceStatus],
        default=EvidenceStatus.VALID,
    )  # fmt: skip
    figures = models.JSONField(default=dict)
    digests = models.JSONField(default=dict)  # of artifact, data, code, engine, as far as known
    digest = models.CharField(max_length=64, unique=True)
    environment = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=200)  # "backtests.run:<id>", or where a person has it from
    summary = models.TextField(blank=True)
    produced_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    handed_in_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name_plural = "evidence"
        constraints = [
            models.CheckConstraint(
                condition=Q(is_measured=True) | Q(handed_in_by__isnull=False),
                name="attested_by_somebody",
            )
        ]
        indexes = [
            models.Index(fields=["version", "kind"], name="evidence_kind"),
            models.Index(fields=["-created_at", "-id"], name="evidence_newest"),
            models.Index(
                KeyTextTransform("strategy", "digests"), name="evidence_of_strategy",
                condition=Q(kind__in=["causality", "reproduction"]),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.kind} of {self.version}"


class PromotionRequest(BaseModel):
    """Somebody's wish to move a version up, bound to what the version was at that time."""

    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, related_name="requests"
    )
    target = models.CharField(max_length=20, choices=[(s.value, s.value) for s in Stage])
    status = models.CharField(
        max_length=20, choices=[(s.value, s.value) for s in RequestStatus],
        default=RequestStatus.OPEN,
    )  # fmt: skip
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    reason = models.TextField(blank=True)
    policy = models.ForeignKey(
        "registry.PromotionPolicy", on_delete=models.PROTECT, related_name="requests"
    )
    version_digest = models.CharField(max_length=64)
    evidence_digest = models.CharField(max_length=64)
    report = models.JSONField()  # the gates as they were last judged
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decision = models.TextField(blank=True)  # the reason of a rejection or withdrawal

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "target"],
                condition=Q(status__in=[RequestStatus.OPEN, RequestStatus.APPROVED]),
                name="one_request_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[RequestStatus.OPEN, RequestStatus.APPROVED])
                | Q(decided_at__isnull=False),
                name="request_ended_has_decided_at",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "requested_at"], name="request_status"),
            models.Index(fields=["-created_at", "-id"], name="request_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.version} to {self.target}"


class Approval(BaseModel):
    """One person's yes to a request, bound to the bytes and the evidence that were seen.

    Requester and author, and who stored and assigned the policy, are written beside the approver,
    so that the database itself refuses an approval of one's own work.
    """

    request = models.ForeignKey(
        "registry.PromotionRequest", on_delete=models.PROTECT, related_name="approvals"
    )
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    policy_stored_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    policy_assigned_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    role = models.CharField(max_length=20)  # that gave the right, at that time
    comment = models.TextField(blank=True)
    version_digest = models.CharField(max_length=64)
    evidence_digest = models.CharField(max_length=64)
    approved_at = models.DateTimeField()
    lapsed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(approver=F("requester")), name="approver_is_not_requester"
            ),
            models.CheckConstraint(
                condition=~Q(approver=F("author")), name="approver_is_not_author"
            ),
            models.CheckConstraint(
                condition=Q(policy_stored_by=None) | ~Q(approver=F("policy_stored_by")),
                name="approver_stored_no_policy",
            ),
            models.CheckConstraint(
                condition=Q(policy_assigned_by=None) | ~Q(approver=F("policy_assigned_by")),
                name="approver_assigned_no_policy",
            ),
            models.UniqueConstraint(
                fields=["request", "approver"],
                condition=Q(lapsed_at=None),
                name="one_approval_each",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.approver} approves {self.request}"


class Waiver(BaseModel):
    """A dated permission for a quarantined version to leave development."""

    version = models.ForeignKey(
        "registry.ModelVersion", on_delete=models.PROTECT, related_name="waivers"
    )
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField()
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(granted_by=F("author")), name="waiver_not_by_author"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("granted_at")), name="waiver_ends_later"
            ),
            models.CheckConstraint(
                condition=Q(revoked_by=None, revoked_at=None)
                | Q(revoked_by__isnull=False, revoked_at__isnull=False),
                name="waiver_revoked_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} until {self.expires_at:%Y-%m-%d}"
