"""Filters of the ground floor's lists, and what filters of all lists are made of."""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any, cast

import django_filters
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings

from crowetrade_site.core import hints
from crowetrade_site.core.api.choices import listing_choices
from crowetrade_site.core.errors import InvalidInput
from crowetrade_site.core.models import AuditEvent


class AnyOfFilter(django_filters.MultipleChoiceFilter):
    """One value of a column of the row itself, or several."""

    def __init__(self, values: Iterable[StrEnum]) -> None:
        choices = [(value.value, value.value) for value in values]
        super().__init__(choices=choices, distinct=False)  # no join makes a row twice


class KnownFilters(DjangoFilterBackend):
    """Filters by what a list knows: a misspelt name would answer with all the rows."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Return the rows asked for.

        Raises
        ------
        InvalidInput
            The query names something that is no filter of the list (422).
        ValidationError
            A filter does not take its value (422).
        """
        filterset = self.get_filterset_class(view, queryset)
        filters = set(filterset.base_filters) if filterset else set()
        known = filters | _of_pages(view)
        for name in request.query_params:
            if name not in known:
                message = f"There is no filter {name!r}{hints.nearest(name, known)}"
                raise InvalidInput(message, errors=[{"path": name, "message": message}])
        try:
            return super().filter_queryset(request, queryset, view)
        except ValidationError as refusal:
            sent, told = dict(request.query_params.lists()), cast("dict[str, Any]", refusal.detail)
            raise ValidationError(
                {
                    name: listing_choices(filterset.base_filters[name].field, sent[name], faults)
                    for name, faults in told.items()
                }
            ) from refusal

    def get_filterset(self, request: Request, queryset: Any, view: Any) -> Any:
        """Return the filters that are asked for: a form of them all takes as long as the rows."""
        filterset = self.get_filterset_class(view, queryset)
        if filterset is None:
            return None
        asked = frozenset(filterset.base_filters).intersection(request.query_params)
        return _of_asked(filterset, asked)(**self.get_filterset_kwargs(request, queryset, view))


@lru_cache(maxsize=512)
def _of_asked(filterset: Any, asked: frozenset[str]) -> Any:
    """Return a kind of filterset that has no other filters."""
    kept = {name: one for name, one in filterset.base_filters.items() if name in asked}
    narrowed = type(filterset.__name__, (filterset,), {})
    narrowed.base_filters = kept  # type: ignore[attr-defined] # its metaclass has set them all
    return narrowed


def _of_pages(view: Any) -> set[str]:
    """Return the parameters that choose a page, its order and its form."""
    pages = view.pagination_class
    names = (
        getattr(pages, f"{name}_query_param", None)
        for name in ("cursor", "page_size", "ordering", "page", "limit", "offset")
    )
    return {name for name in names if name} | {api_settings.URL_FORMAT_OVERRIDE}


class AuditFilter(django_filters.FilterSet):
    """The audit trail by what, who, when and on what."""

    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEvent
        fields = ["verb", "actor", "object_type", "object_id", "request_id"]
