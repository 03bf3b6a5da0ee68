"""Conversions, signatures that are handed in, and types that desks trust."""

from typing import Any

from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from registry.api.serializers.objects import ObjectField
from registry.lifecycle import ConversionTarget, MissingValues
from registry.models import Conversion, TrustedType
from registry.services.conversions import MOST_ROWS
from registry.services.trust import LONGEST_NAME


class ConversionRequest(serializers.Serializer[Any]):
    """What a model shall become, and rows on which both must predict the same."""

    target = serializers.ChoiceField(
        [(target.value, target.value) for target in ConversionTarget],
        default=ConversionTarget.SKOPS.value,
        help_text="onnx: rows of numbers, 32-bit floats, equal within the tolerance.",
    )
    missing_values = serializers.ChoiceField(
        [(one.value, one.value) for one in MissingValues],
        default=MissingValues.COMPARE.value,
        help_text="onnx: refuse compares complete rows alone, and the new version takes no others.",
    )

    rows = serializers.ListField(
        child=serializers.JSONField(), min_length=1, max_length=MOST_ROWS,
        help_text="Lists of values, or objects with a value by column.",
    )  # fmt: skip


class ConversionRow(RowSerializer[Conversion]):
    """A conversion, and the version that came of it."""

    id = serializers.UUIDField(source="public_id")
    version = serializers.UUIDField(source="version.public_id")
    result = serializers.UUIDField(source="result.public_id", default=None)
    requested_by = serializers.CharField(source="requested_by.username")
    n_rows = serializers.SerializerMethodField()

    class Meta:
        model = Conversion
        fields = [
            "id", "version", "target", "missing_values", "status", "result", "reason", "n_rows",
            "agreement", "requested_by", "created_at", "finished_at",
        ]  # fmt: skip

    def get_n_rows(self, conversion: Conversion) -> int:
        """Return on how many rows it is checked."""
        return len(conversion.rows)


class SignatureRequest(serializers.Serializer[Any]):
    """A bundle as OpenSSF model-signing writes it, and the key that it is checked with."""

    bundle = ObjectField()
    public_key = serializers.CharField(max_length=10_000, help_text="In PEM.")


class TypeRequest(serializers.Serializer[Any]):
    """A type that a desk asks to trust, and why."""

    desk = serializers.CharField(max_length=100)
    name = serializers.CharField(max_length=LONGEST_NAME, help_text="In full: module.Class.")
    reason = serializers.CharField(max_length=500)


class TypeRow(RowSerializer[TrustedType]):
    """A type of a desk's list."""

    id = serializers.UUIDField(source="public_id")
    state = serializers.ChoiceField(["proposed", "trusted", "revoked"])
    proposed_by = serializers.CharField(source="proposed_by.username")
    approved_by = serializers.CharField(source="approved_by.username", default=None)
    revoked_by = serializers.CharField(source="revoked_by.username", default=None)

    class Meta:
        model = TrustedType
        fields = [
            "id", "desk", "name", "state", "reason", "proposed_by", "proposed_at", "approved_by",
            "approved_at", "revoked_by", "revoked_at",
        ]  # fmt: skip


class OwnerRequest(serializers.Serializer[Any]):
    """Who shall own a model, and why."""

    owner = serializers.CharField(max_length=150)
    reason = serializers.CharField(max_length=500)
