"""Filters and orderings of the lists."""

import django_filters

from backtests.lifecycle import DatasetStatus, RunKind, RunStatus
from backtests.models import Dataset, Run
from crowetrade_site.core.api.filters import AnyOfFilter


class RunFilter(django_filters.FilterSet):
    """Runs by state, kind, data, requester and time."""

    status = AnyOfFilter(RunStatus)
    kind = django_filters.ChoiceFilter(choices=[(k.value, k.value) for k in RunKind])
    dataset = django_filters.CharFilter(field_name="dataset__name")
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Run
        fields = ["spec_digest", "strategy_digest", "result_digest"]


class DatasetFilter(django_filters.FilterSet):
    """Dataset versions by name, state, kind and digest."""

    status = AnyOfFilter(DatasetStatus)

    class Meta:
        model = Dataset
        fields = ["name", "kind", "digest"]
