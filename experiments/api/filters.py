"""Filters of the lists of experiments and of their units."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from crowetrade_site.core import hints
from crowetrade_site.core.api.filters import AnyOfFilter
from crowetrade_site.core.errors import InvalidInput
from experiments import selectors
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment, Exposure


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


class ExposureFilter(django_filters.FilterSet):
    """Units by the context that they came in."""

    context = django_filters.CharFilter(method="of_context")

    class Meta:
        model = Exposure
        fields: list[str] = []

    def of_context(
        self, exposures: QuerySet[Exposure], name: str, value: str
    ) -> QuerySet[Exposure]:
        """Return those of a context of the plan.

        Raises
        ------
        InvalidInput
            The plan has no such context (422).
        """
        view: Any = self.request.parser_context["view"]
        known = [one for one in selectors.plan_of(view.experiment).contexts if one]
        if value in known:
            return exposures.filter(context=value)
        if not known:
            raise InvalidInput.at(name, f"the plan of {view.experiment} has none: leave it out.")
        there = hints.nearest(value, known)
        raise InvalidInput.at(
            name, f"the plan of {view.experiment} has no {hints.shown(value)!r}{there}"
        )
