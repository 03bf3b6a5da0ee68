"""Filters of the list of experiments."""

import django_filters

from crowetrade_site.core.api.filters import AnyOfFilter
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment


class ExperimentFilter(django_filters.FilterSet):
    """Experiments by state, design, owner, layer, verdict and time."""

    status = AnyOfFilter(ExperimentStatus)
    design = django_filters.ChoiceFilter(choices=[(d, d) for d in ("shadow", "assigned")])
    owner = django_filters.CharFilter(field_name="owner__username")
    layer = django_filters.CharFilter(field_name="layer__name")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Experiment
        fields = ["name", "verdict", "winner", "plan_digest"]
