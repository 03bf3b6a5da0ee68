"""`?ordering=` on lists."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.views import APIView

from crowetrade_site.core.errors import InvalidInput


class ListOrdering(OrderingFilter):
    """Orders by a field the view's `ordering_fields` name; a minus turns it round.

    The id is added, so that rows of equal value keep their places from page to page. The
    whitelist may hold columns without NULL only: a cursor cannot continue behind a NULL.
    """

    ordering_description = "Field to order by, such as `created_at`; `-created_at` turns it round."

    def get_ordering(
        self,
        request: Request,
        queryset: QuerySet[Any],  # noqa: ARG002 - the framework's signature
        view: APIView,
    ) -> tuple[str, ...] | None:
        """Return the fields asked for, or None for the list's own order.

        Raises
        ------
        InvalidInput
            The field is not one of the view's (422).
        """
        wanted = request.query_params.get(self.ordering_param, "").strip()
        if not wanted:
            return None
        known = view.ordering_fields  # type: ignore[attr-defined] # what this filter asks of views
        field = wanted.removeprefix("-")
        if field not in known:
            raise InvalidInput(
                f"ordering={wanted!r} is none of: {', '.join(known)} (with - for descending).",
                errors=[{"path": self.ordering_param, "message": "unknown field"}],
            )
        return (wanted, "-id" if wanted.startswith("-") else "id")

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: APIView
    ) -> QuerySet[Any]:
        """Leave the rows as they are: the cursor orders them."""
        self.get_ordering(request, queryset, view)
        return queryset
