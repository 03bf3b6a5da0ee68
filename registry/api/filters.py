"""Filters of the registry's lists."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone

from crowetrade_site.core.api.filters import AnyOfFilter
from registry import selectors
from registry.lifecycle import (
    ConversionStatus,
    ConversionTarget,
    EvidenceStatus,
    RequestStatus,
    Stage,
    VersionStatus,
)
from registry.models import (
    Conversion,
    Evidence,
    ModelVersion,
    PromotionPolicy,
    PromotionRequest,
    RegisteredModel,
    SigningBundle,
    StoredFile,
    TrustedType,
    Waiver,
)
from registry.querysets import ModelVersionQuerySet, RegisteredModelQuerySet
from registry.rules import names


def _choices(values: Any) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class ModelFilter(django_filters.FilterSet):
    """Models by name, owner, desk, tier, tag and words."""

    owner = django_filters.CharFilter(field_name="owner__username")
    tag = django_filters.CharFilter(method="by_tag", label="A tag: key, or key:value.")
    q = django_filters.CharFilter(
        method="by_words", label="Beginnings of words in name, description, purpose, desk or tags."
    )

    class Meta:
        model = RegisteredModel
        fields = ["name", "desk", "tier", "policy"]

    def by_tag(self, rows: RegisteredModelQuerySet, _: str, tag: str) -> RegisteredModelQuerySet:
        """Keep those with a tag."""
        return rows.tagged(tag)

    def by_words(self, rows: RegisteredModelQuerySet, _: str, text: str) -> RegisteredModelQuerySet:
        """Keep those that have every word."""
        return rows.matching(text)


class VersionFilter(django_filters.FilterSet):
    """Versions by where they are, what they are made of and from, and words."""

    model = django_filters.CharFilter(field_name="registered_model__name")
    stage = AnyOfFilter(Stage)
    status = AnyOfFilter(VersionStatus)
    created_by = django_filters.CharFilter(field_name="created_by__username")
    alias = django_filters.CharFilter(field_name="aliases__alias")
    dataset = django_filters.CharFilter(method="by_dataset", label="The digest of a dataset.")
    is_compromised = django_filters.BooleanFilter(
        field_name="compromised_at", lookup_expr="isnull", exclude=True
    )
    tag = django_filters.CharFilter(method="by_tag", label="A tag: key, or key:value.")
    q = django_filters.CharFilter(
        method="by_words",
        label="Beginnings of words in description, source, run, code or tags, or of the model.",
    )

    class Meta:
        model = ModelVersion
        fields = ["number", "format", "run_id", "digest", "is_held"]

    def by_dataset(self, rows: ModelVersionQuerySet, _: str, digest: str) -> ModelVersionQuerySet:
        """Keep those that were made from a dataset."""
        return rows.filter(datasets__contains=[names.plain_digest(digest)])

    def by_tag(self, rows: ModelVersionQuerySet, _: str, tag: str) -> ModelVersionQuerySet:
        """Keep those with a tag."""
        return rows.tagged(tag)

    def by_words(self, rows: ModelVersionQuerySet, _: str, text: str) -> ModelVersionQuerySet:
        """Keep those that have every word, or whose model has."""
        return rows.matching(text, selectors.list_models())


class PromotionFilter(django_filters.FilterSet):
    """Requests by state, target, version and person."""

    status = AnyOfFilter(RequestStatus)
    target = django_filters.ChoiceFilter(choices=_choices((Stage.STAGING, Stage.PRODUCTION)))
    model = django_filters.CharFilter(field_name="version__registered_model__name")
    version = django_filters.UUIDFilter(field_name="version__public_id")
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    waiting = django_filters.BooleanFilter(
        method="by_waiting", label="Only what the caller could approve or carry out now."
    )

    class Meta:
        model = PromotionRequest
        fields: list[str] = []

    def by_waiting(
        self, rows: QuerySet[PromotionRequest], _: str, value: bool
    ) -> QuerySet[PromotionRequest]:
        """Keep what waits for the caller."""
        if not value:
            return rows
        mine = selectors.waiting_for(self.request.user, at=timezone.now())
        return rows.filter(pk__in=mine.values("pk"))


class EvidenceFilter(django_filters.FilterSet):
    """Evidence by kind, state, version and source."""

    status = django_filters.ChoiceFilter(choices=_choices(EvidenceStatus))
    model = django_filters.CharFilter(field_name="version__registered_model__name")
    version = django_filters.UUIDFilter(field_name="version__public_id")
    handed_in_by = django_filters.CharFilter(field_name="handed_in_by__username")

    class Meta:
        model = Evidence
        fields = ["kind", "is_measured", "digest", "source"]


class WaiverFilter(django_filters.FilterSet):
    """Waivers by who granted them and whether they count now."""

    is_standing = django_filters.BooleanFilter(
        method="by_standing", label="Granted, not revoked, and not over."
    )
    granted_by = django_filters.CharFilter(field_name="granted_by__username")

    class Meta:
        model = Waiver
        fields: list[str] = []

    def by_standing(self, rows: QuerySet[Waiver], _: str, value: bool) -> QuerySet[Waiver]:
        """Keep those that count now, or the others."""
        standing = {"revoked_at": None, "expires_at__gt": timezone.now()}
        return rows.filter(**standing) if value else rows.exclude(**standing)


class SignatureFilter(django_filters.FilterSet):
    """Signatures by key and by who attached them."""

    attached_by = django_filters.CharFilter(field_name="attached_by__username")

    class Meta:
        model = SigningBundle
        fields = ["key_id"]


class ConversionFilter(django_filters.FilterSet):
    """Conversions by state, format and who asked for them."""

    status = AnyOfFilter(ConversionStatus)
    target = django_filters.ChoiceFilter(choices=_choices(ConversionTarget))
    requested_by = django_filters.CharFilter(field_name="requested_by__username")

    class Meta:
        model = Conversion
        fields: list[str] = []


class TrustedTypeFilter(django_filters.FilterSet):
    """Types by desk, name and whether they are trusted now."""

    is_trusted = django_filters.BooleanFilter(method="by_state", label="Approved and not revoked.")

    class Meta:
        model = TrustedType
        fields = ["desk", "name"]

    def by_state(self, rows: QuerySet[TrustedType], _: str, value: bool) -> QuerySet[TrustedType]:
        """Keep those that are trusted now, or the others."""
        trusted = {"approved_at__isnull": False, "revoked_at": None}
        return rows.filter(**trusted) if value else rows.exclude(**trusted)


class PolicyFilter(django_filters.FilterSet):
    """Policies by name and digest."""

    class Meta:
        model = PromotionPolicy
        fields = ["name", "number", "digest"]


class FileFilter(django_filters.FilterSet):
    """Files by folder and digest."""

    under = django_filters.CharFilter(
        field_name="path", lookup_expr="startswith", label="The beginning of the path."
    )

    class Meta:
        model = StoredFile
        fields = ["sha256"]
