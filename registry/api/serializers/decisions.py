"""Gates, promotions, approvals, evidence and policies."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from registry import selectors
from registry.api.serializers.objects import ObjectField
from registry.lifecycle import Stage
from registry.models import Approval, Evidence, PromotionPolicy, PromotionRequest
from registry.rules.gates import Outcome
from registry.rules.policies import GateKind
from registry.selectors import Standing

WHERE_TO_READ = (
    "Say what you agree to: read standing.evidence_digest of GET /api/v1/promotions/ID/, with the "
    "gates and their evidence."
)
UP = [(stage.value, stage.value) for stage in (Stage.STAGING, Stage.PRODUCTION)]
ABOVE = [(Stage.TESTING.value, Stage.TESTING.value), *UP]


class EvidenceRow(RowSerializer[Evidence]):
    """Something that speaks for a version."""

    id = serializers.UUIDField(source="public_id")
    version = serializers.UUIDField(source="version.public_id")
    model = serializers.CharField(source="version.registered_model.name")
    number = serializers.IntegerField(source="version.number")
    handed_in_by = serializers.CharField(source="handed_in_by.username", default=None)

    class Meta:
        model = Evidence
        fields = [
            "id", "version", "model", "number", "kind", "is_measured", "status", "figures",
            "digests", "digest", "environment", "source", "summary", "produced_at", "expires_at",
            "handed_in_by", "created_at",
        ]  # fmt: skip


class Attested(EvidenceRow):
    """What was signed for, and whether any gate asks for it."""

    warning = serializers.SerializerMethodField(
        help_text="Where no gate of the policy in force asks for the topic: which ones are asked "
        "for, and the nearest. Empty otherwise."
    )

    class Meta(EvidenceRow.Meta):
        fields = [*EvidenceRow.Meta.fields, "warning"]

    def get_warning(self, piece: Evidence) -> str:
        """Hold the topic against the policy in force."""
        return selectors.warning_of_topic(piece.version, str(piece.figures["topic"]))


class AttestRequest(serializers.Serializer[Any]):
    """What a person signs for."""

    topic = serializers.CharField(max_length=80, help_text="Of the manual gate that it meets.")
    summary = serializers.CharField(max_length=10_000)
    figures = ObjectField(required=False, default=dict)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class GateRow(serializers.Serializer[Any]):
    """What one gate answered, and why."""

    name = serializers.CharField()
    outcome = serializers.ChoiceField(
        [(str(outcome), str(outcome)) for outcome in Outcome],
        help_text="What was not computed is not met; what is told is in nobody's way.",
    )
    reason = serializers.CharField()
    evidence = serializers.ListField(
        child=serializers.CharField(), help_text="Digests of the evidence that was weighed."
    )


class Report(serializers.Serializer[Any]):
    """All gates of a stage."""

    stage = serializers.CharField()
    is_met = serializers.BooleanField()
    approvals_needed = serializers.IntegerField()
    gates = GateRow(many=True)


class Gates(serializers.Serializer[Any]):
    """The gates of a stage as they are judged now, and by which policy."""

    report = serializers.SerializerMethodField()
    policy = serializers.CharField(source="policy.name")
    policy_number = serializers.IntegerField(source="policy.number")
    policy_digest = serializers.CharField(source="policy.digest")
    evidence_digest = serializers.CharField(help_text="What an approver would agree to.")

    @extend_schema_field(Report)
    def get_report(self, judged: Any) -> dict[str, Any]:
        """Return what each gate answered."""
        document: dict[str, Any] = judged.report.document()
        return document


class TargetQuery(serializers.Serializer[Any]):
    """Whose gates are asked for."""

    target = serializers.ChoiceField(ABOVE)


class PromotionWanted(serializers.Serializer[Any]):
    """Where a version shall go up to, and why."""

    target = serializers.ChoiceField(UP)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class ApproveRequest(serializers.Serializer[Any]):
    """A yes to what was seen."""

    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
    evidence_digest = serializers.CharField(
        max_length=64,
        help_text="Of what the approver looked at, standing.evidence_digest of its page: "
        "refused if it is something else by now.",
        error_messages={"required": WHERE_TO_READ, "blank": WHERE_TO_READ},
    )


class ApprovalRow(RowSerializer[Approval]):
    """One person's yes."""

    approver = serializers.CharField(source="approver.username")

    class Meta:
        model = Approval
        fields = ["approver", "role", "comment", "approved_at", "lapsed_at", "evidence_digest"]


class PromotionRow(serializers.ModelSerializer[PromotionRequest]):
    """A request as lists show it."""

    id = serializers.UUIDField(source="public_id")
    version = serializers.UUIDField(source="version.public_id")
    model = serializers.CharField(source="version.registered_model.name")
    number = serializers.IntegerField(source="version.number")
    author = serializers.CharField(source="version.created_by.username")
    requested_by = serializers.CharField(source="requested_by.username")
    policy = serializers.CharField(source="policy.name")
    policy_number = serializers.IntegerField(source="policy.number")
    approvals = ApprovalRow(many=True)

    class Meta:
        model = PromotionRequest
        fields = [
            "id", "version", "model", "number", "author", "target", "status", "requested_by",
            "requested_at", "reason", "policy", "policy_number", "version_digest",
            "evidence_digest", "expires_at", "approvals", "decided_at", "decision",
        ]  # fmt: skip


class StandingRow(serializers.Serializer[Standing]):
    """How a request stands now."""

    report = Report()
    evidence_digest = serializers.CharField(help_text="What an approver would agree to now.")
    n_standing = serializers.IntegerField(
        help_text="Approvals of exactly that, by people who may still give them."
    )
    n_needed = serializers.IntegerField()
    may_approve = serializers.ListField(child=serializers.CharField())
    is_stale = serializers.BooleanField(
        help_text="Approvals that were given count no more, and will lapse."
    )
    refusals = serializers.ListField(
        child=serializers.CharField(),
        help_text="Why an approval and the execution would be refused now, whoever asks.",
    )
    execution_refusals = serializers.ListField(
        child=serializers.CharField(),
        help_text="Why the execution would be: these, or too few approvals that stand.",
    )
    n_files_not_looked_for = serializers.IntegerField(
        help_text="Files of the version that nobody has looked for in the store yet."
    )


class PromotionDetail(PromotionRow):
    """A request with its gates; the view hands in how it stands."""

    decided_by = serializers.CharField(source="decided_by.username", default=None)
    standing = serializers.SerializerMethodField()

    class Meta(PromotionRow.Meta):
        fields = [*PromotionRow.Meta.fields, "decided_by", "standing"]

    @extend_schema_field(StandingRow)
    def get_standing(self, request: PromotionRequest) -> dict[str, Any]:  # noqa: ARG002
        """Return gates and approvals as they stand."""
        return dict(StandingRow(self.context["standing"]).data)


class PolicyRow(RowSerializer[PromotionPolicy]):
    """One version of a policy."""

    id = serializers.UUIDField(source="public_id")
    stored_by = serializers.CharField(source="stored_by.username", default=None)

    class Meta:
        model = PromotionPolicy
        fields = [
            "id", "name", "number", "digest", "text", "document", "reason", "stored_by",
            "created_at",
        ]  # fmt: skip


class StoredPolicy(PolicyRow):
    """What was stored, and what of it nobody brings."""

    warnings = serializers.SerializerMethodField(
        help_text="Gates that nothing on the platform measures, and figures that no evidence of "
        "their kind has had."
    )

    class Meta(PolicyRow.Meta):
        fields = [*PolicyRow.Meta.fields, "warnings"]

    def get_warnings(self, policy: PromotionPolicy) -> list[str]:
        """Hold the gates against what is measured."""
        return selectors.warnings_of_policy(policy)


class PolicyRequest(serializers.Serializer[Any]):
    """The next version of a policy."""

    name = serializers.CharField(max_length=80)
    text = serializers.CharField(
        max_length=100_000, trim_whitespace=False,
        help_text=f"YAML. Gates: {', '.join(GateKind)}.",
    )  # fmt: skip
    reason = serializers.CharField(max_length=500)
