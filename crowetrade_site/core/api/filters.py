"""Filters of the ground floor's lists, and what filters of all lists are made of."""

from collections.abc import Iterable
from enum import StrEnum

import django_filters

from crowetrade_site.core.models import AuditEvent


class AnyOfFilter(django_filters.MultipleChoiceFilter):
    """One value of a column of the row itself, or several."""

    def __init__(self, values: Iterable[StrEnum]) -> None:
        choices = [(value.value, value.value) for value in values]
        super().__init__(choices=choices, distinct=False)  # no join makes a row twice


class AuditFilter(django_filters.FilterSet):
    """The audit trail by what, who, when and on what."""

    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields = ["verb", "actor", "object_type", "object_id", "request_id"]
