"""Lists by cursor: stable while rows arrive, equally fast on every page."""

from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """Newest first unless `ordering` says otherwise; `page_size` up to 500."""

    ordering = ("-created_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
