"""Versions of models: their rows, and what is asked about them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from registry.api.serializers.objects import ObjectField
from registry.lifecycle import Stage
from registry.models import ModelVersion, SigningBundle, Waiver
from registry.rules.names import LONGEST_TAG_VALUE

STAGES = [(stage.value, stage.value) for stage in Stage]


class VersionRow(RowSerializer[ModelVersion]):
    """A version as lists show it."""

    id = serializers.UUIDField(source="public_id")
    model = serializers.CharField(source="registered_model.name")
    model_id = serializers.UUIDField(source="registered_model.public_id")
    created_by = serializers.CharField(source="created_by.username")
    aliases = serializers.ListField(child=serializers.CharField(), source="alias_names")
    is_compromised = serializers.SerializerMethodField()
    read_by_methods = ("compromised_at",)

    class Meta:
        model = ModelVersion
        fields = [
            "id", "model", "model_id", "number", "stage", "stage_changed_at", "status", "digest",
            "format", "n_files", "n_bytes", "description", "run_id", "tags", "aliases",
            "created_by", "created_at", "changed_at", "is_compromised", "is_held",
        ]  # fmt: skip

    def get_is_compromised(self, version: ModelVersion) -> bool:
        """Return whether its bytes were found to be others than those that were registered."""
        return version.compromised_at is not None


class Finding(serializers.Serializer[Any]):
    """What was found when the files were looked at."""

    code = serializers.CharField(required=False)
    path = serializers.CharField(required=False)
    text = serializers.CharField()


class VersionDetail(VersionRow):
    """A version with all that is known of it."""

    copied_from = serializers.UUIDField(source="copied_from.public_id", default=None)
    findings = serializers.SerializerMethodField()

    class Meta(VersionRow.Meta):
        fields = [
            *VersionRow.Meta.fields, "status_message", "findings", "signature", "framework",
            "source", "run_link", "logged_model_id", "copied_from", "datasets", "code_revision",
            "parameters", "metrics", "left_development_at", "was_production_at", "compromised_at",
            "files_discarded_at", "scanned_by", "rescan_failed_at",
        ]  # fmt: skip

    @extend_schema_field(Finding(many=True))
    def get_findings(self, version: ModelVersion) -> list[dict[str, Any]]:
        """Return what was found in the files."""
        return list(version.findings)


class VersionRequest(serializers.Serializer[Any]):
    """Files to register, and what is known of them."""

    source = serializers.CharField(  # type: ignore[assignment]  # DRF calls an argument so, too
        max_length=2000,
        help_text="A folder of files that were handed in, models:/m-<id>, or "
        "models:/<name>/<number> to copy another version.",
    )
    description = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100_000
    )
    run_id = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)
    run_link = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)
    datasets = serializers.ListField(
        child=serializers.CharField(max_length=71), required=False, default=list, max_length=1000,
        help_text="SHA-256 digests of the data that it was made from; sha256: may stand before.",
    )  # fmt: skip
    code_revision = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=100
    )
    parameters = ObjectField(required=False, default=dict)
    metrics = ObjectField(required=False, default=dict)
    tags = ObjectField(
        child=serializers.CharField(allow_blank=True, max_length=LONGEST_TAG_VALUE),
        required=False, default=dict,
    )  # fmt: skip
    signature = ObjectField(
        required=False, default=dict, help_text="What goes in and what comes out."
    )
    framework = ObjectField(
        child=serializers.CharField(max_length=200), required=False, default=dict,
        help_text="Packages and their versions, as the author states them: kept under "
        "framework.stated, beside what the files say themselves.",
    )  # fmt: skip
    allow_duplicate = serializers.BooleanField(
        default=False, help_text="Register files once more that a version of the model has."
    )


class DescriptionRequest(serializers.Serializer[Any]):
    """What a version is, in words."""

    description = serializers.CharField(allow_blank=True, max_length=100_000)


class MoveRequest(serializers.Serializer[Any]):
    """Where a version shall go, and why."""

    target = serializers.ChoiceField(STAGES)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class HoldRequest(serializers.Serializer[Any]):
    """Whether a version is under legal hold, and why."""

    is_held = serializers.BooleanField()
    reason = serializers.CharField(max_length=500)


class WaiverRequest(serializers.Serializer[Any]):
    """Until when a quarantined version may leave development, and why."""

    expires_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=500)


class WaiverRow(RowSerializer[Waiver]):
    """A waiver that was granted."""

    id = serializers.UUIDField(source="public_id")
    granted_by = serializers.CharField(source="granted_by.username")
    revoked_by = serializers.CharField(source="revoked_by.username", default=None)

    class Meta:
        model = Waiver
        fields = [
            "id", "granted_by", "reason", "granted_at", "expires_at", "revoked_by", "revoked_at",
        ]  # fmt: skip


class SignatureRow(RowSerializer[SigningBundle]):
    """A signature over the files of a version."""

    id = serializers.UUIDField(source="public_id")
    attached_by = serializers.CharField(source="attached_by.username")

    class Meta:
        model = SigningBundle
        fields = ["id", "key_id", "public_key", "bundle", "attached_by", "verified_at"]


class Apart(serializers.Serializer[Any]):
    """What only one of two has."""

    only_one = serializers.ListField(child=serializers.CharField())
    only_other = serializers.ListField(child=serializers.CharField())


class Comparison(serializers.Serializer[Any]):
    """In what two versions differ: under each key, what the one has and what the other."""

    one = serializers.CharField()
    other = serializers.CharField()
    is_same_files = serializers.BooleanField()
    files = serializers.DictField(child=serializers.ListField())
    signature = serializers.DictField(child=serializers.ListField())
    framework = serializers.DictField(child=serializers.ListField())
    parameters = serializers.DictField(child=serializers.ListField())
    metrics = serializers.DictField(child=serializers.ListField())
    tags = serializers.DictField(child=serializers.ListField())
    datasets = Apart()
    code_revision = serializers.ListField(child=serializers.CharField())


class Relative(serializers.Serializer[Any]):
    """Another version."""

    id = serializers.UUIDField(source="public_id")
    model = serializers.CharField(source="registered_model.name")
    number = serializers.IntegerField()


class MeasuredBy(serializers.Serializer[Any]):
    """Something that was computed about a version."""

    kind = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]
        help_text="Such as backtests.run:<id>."
    )
    status = serializers.CharField()
    evidence = serializers.UUIDField()
    digests = serializers.DictField(child=serializers.CharField())
    produced_at = serializers.DateTimeField()


class Lineage(serializers.Serializer[Any]):
    """What a version came from, and what came from it."""

    datasets = serializers.ListField(child=serializers.CharField())
    code_revision = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    run_id = serializers.CharField()
    run_link = serializers.CharField()
    copied_from = Relative(allow_null=True)
    copies = Relative(many=True)
    runs = MeasuredBy(many=True)
