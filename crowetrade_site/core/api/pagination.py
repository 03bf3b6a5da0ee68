"""Lists by cursor: stable while rows arrive, equally fast on every page."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from crowetrade_site.core.errors import InvalidInput


class NewestFirst(CursorPagination):
    """Newest first unless `ordering` says otherwise; `page_size` up to 500.

    A view names what may be asked for in `ordering_fields`, such as ``("created_at",)``:
    fields that are never null and have an index.
    """

    ordering: tuple[str, ...] = ("-created_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
    ordering_query_param = "ordering"

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:  # noqa: ARG002
        """Return the order asked for; the row number breaks ties, so that no row is skipped."""
        asked = request.query_params.get(self.ordering_query_param, "")
        if not asked:
            return tuple(self.ordering)
        fields = getattr(view, "ordering_fields", ())
        if asked.removeprefix("-") not in fields:
            known = ", ".join(f"{name}, -{name}" for name in fields) or "none here"
            message = f"ordering={asked!r} is unknown; known are: {known}."
            raise InvalidInput(message, errors=[{"path": "ordering", "message": message}])
        return (asked, "-id" if asked.startswith("-") else "id")

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return a page; a cursor somebody made up is not found."""
        try:
            page: list[Any] | None = super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError):
            raise NotFound(self.invalid_cursor_message) from None
        return page

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the orders a list has, beside cursor and page size."""
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        fields = getattr(view, "ordering_fields", ())
        if fields:
            orders = [f"{sign}{name}" for name in fields for sign in ("", "-")]
            parameters.append(
                {
                    "name": self.ordering_query_param,
                    "in": "query",
                    "required": False,
                    "description": "The order of the rows; newest first by default.",
                    "schema": {"type": "string", "enum": orders},
                }
            )
        return parameters


def neighbors(request: Request, offset: int, limit: int, n_rows: int) -> dict[str, str | None]:
    """Return the addresses of the pages before and after one that is counted by rows."""
    here = request.build_absolute_uri()
    after, before = offset + limit, max(0, offset - limit)
    return {
        "next": replace_query_param(here, "offset", after) if after < n_rows else None,
        "previous": replace_query_param(here, "offset", before) if offset > 0 else None,
    }
