"""What the ground floor's endpoints take and give."""

from typing import Any

from rest_framework import serializers

from crowetrade_site.core import roles
from crowetrade_site.core.api.rows import RowSerializer
from crowetrade_site.core.models import ApiToken, AuditEvent


class TokenRequest(serializers.Serializer):
    """What a new token should be able to do."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(sorted(roles.SCOPES)), allow_empty=False
    )
    expires_at = serializers.DateTimeField(required=False)


class TokenRow(serializers.ModelSerializer[ApiToken]):
    """A token without its text."""

    id = serializers.UUIDField(source="public_id")

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        ]


class NewToken(TokenRow):
    """A token just issued: the only time its text is seen."""

    token = serializers.CharField()

    class Meta(TokenRow.Meta):
        fields = [*TokenRow.Meta.fields, "token"]


class AuditRow(RowSerializer[AuditEvent]):
    """An entry of the trail; `canonical` is the exact text its leaf hashes."""

    id = serializers.UUIDField(source="event_id")
    leaf = serializers.SerializerMethodField()

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "at",
            "verb",
            "actor",
            "reason",
            "request_id",
            "object_type",
            "object_id",
            "canonical",
            "leaf",
        ]

    def get_leaf(self, event: AuditEvent) -> str:
        """Return the leaf hash in hexadecimal."""
        return bytes(event.leaf).hex()


class Nothing(serializers.Serializer[Any]):
    """No keys: what would be sent is kept by nobody."""


class Reason(serializers.Serializer[Any]):
    """Why something is done."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
