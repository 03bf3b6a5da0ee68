"""Registered models, their cards, tags and aliases."""

from typing import Any

from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from registry import selectors
from registry.api.serializers.objects import ObjectField
from registry.models import ModelAlias, RegisteredModel
from registry.rules.names import LONGEST_TAG_KEY, LONGEST_TAG_VALUE
from registry.selectors.production import BEGUN_BY, ENDED_BY
from registry.services.catalog import TIERS

MOST_ENTRIES = 200


class AliasRow(RowSerializer[ModelAlias]):
    """A word and the version that it stands for."""

    version = serializers.IntegerField(source="version.number")
    version_id = serializers.UUIDField(source="version.public_id")

    class Meta:
        model = ModelAlias
        fields = ["alias", "version", "version_id"]


class ModelRow(RowSerializer[RegisteredModel]):
    """A registered model with its card."""

    id = serializers.UUIDField(source="public_id")
    owner = serializers.CharField(source="owner.username")
    aliases = AliasRow(many=True)
    n_versions = serializers.IntegerField(source="n_numbers", help_text="Numbers given so far.")
    policy_assigned_by = serializers.CharField(
        source="policy_assigned_by.username", default=None, allow_null=True,
        help_text="Approves nothing of the model; null for the policy that it began with.",
    )  # fmt: skip

    class Meta:
        model = RegisteredModel
        fields = [
            "id", "name", "description", "owner", "desk", "purpose", "tier", "operators", "limits",
            "dependencies", "review_date", "tags", "policy", "policy_assigned_by",
            "policy_assigned_at", "aliases", "n_versions", "created_at", "changed_at",
        ]  # fmt: skip


class ModelResource(ModelRow):
    """A registered model by itself, with what there is to know of its card."""

    warnings = serializers.SerializerMethodField(
        help_text="Of the card: operators who are no users, accounts that are closed."
    )

    class Meta:
        model = RegisteredModel
        fields = [*ModelRow.Meta.fields, "warnings"]

    def get_warnings(self, model: RegisteredModel) -> list[str]:
        """Return what is wrong with whom the card names."""
        return selectors.card_warnings(model)


class CardRequest(serializers.Serializer[Any]):
    """Fields of a model's card; those that are left out stay as they are."""

    description = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    desk = serializers.CharField(required=False, allow_blank=True, max_length=100)
    purpose = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    tier = serializers.ChoiceField(
        [tier for tier in TIERS if tier], required=False, allow_blank=True,
        help_text="Of materiality: exposure and purpose.",
    )  # fmt: skip
    operators = serializers.ListField(
        child=serializers.CharField(max_length=150), required=False, max_length=MOST_ENTRIES,
        help_text="Who is approved to operate it.",
    )  # fmt: skip
    limits = ObjectField(required=False, help_text="Of use: instruments, size, venues.")
    dependencies = serializers.ListField(
        child=serializers.CharField(max_length=255), required=False, max_length=MOST_ENTRIES
    )
    review_date = serializers.DateField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class ModelRequest(CardRequest):
    """A name to register, with what is known of its card."""

    name = serializers.CharField(max_length=256)
    tags = ObjectField(
        child=serializers.CharField(allow_blank=True, max_length=LONGEST_TAG_VALUE),
        required=False, default=dict,
    )  # fmt: skip
    reason = None  # type: ignore[assignment]  # a first entry of the trail needs none


class NewName(serializers.Serializer[Any]):
    """Another name."""

    name = serializers.CharField(max_length=256)


class Tag(serializers.Serializer[Any]):
    """A tag to set."""

    key = serializers.CharField(max_length=LONGEST_TAG_KEY)
    value = serializers.CharField(allow_blank=True, default="", max_length=LONGEST_TAG_VALUE)


class TagKey(serializers.Serializer[Any]):
    """Which tag to take off."""

    key = serializers.CharField(max_length=LONGEST_TAG_KEY)


class AliasRequest(serializers.Serializer[Any]):
    """A word, and the number of the version that it shall stand for."""

    alias = serializers.CharField(max_length=255)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class PolicyChoice(serializers.Serializer[Any]):
    """The policy that shall judge a model, and why."""

    policy = serializers.CharField(max_length=80)
    reason = serializers.CharField(max_length=500)


class MomentQuery(serializers.Serializer[Any]):
    """The moment that is asked about."""

    at = serializers.DateTimeField(required=False, help_text="Only what was there at this moment.")


class StayRow(serializers.Serializer[Any]):
    """One time that a version was in production, from the entries that began and ended it."""

    model = serializers.CharField()
    version = serializers.IntegerField()
    version_id = serializers.UUIDField()
    digest = serializers.CharField()
    since = serializers.DateTimeField()
    begun = serializers.ChoiceField(BEGUN_BY)
    begun_by = serializers.CharField()
    begun_because = serializers.CharField(allow_blank=True)
    request = serializers.CharField(
        allow_blank=True, help_text="The promotion request; empty for a rollback."
    )
    until = serializers.DateTimeField(allow_null=True, help_text="Null: it is there still.")
    ended = serializers.ChoiceField(ENDED_BY, allow_blank=True)
    ended_by = serializers.CharField(allow_blank=True)
    ended_because = serializers.CharField(allow_blank=True)
