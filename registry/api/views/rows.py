"""Rows that hang on the version that an address names."""

from typing import TypeVar

from django.db.models import Model, QuerySet
from rest_framework.views import APIView

from registry import selectors

_Row = TypeVar("_Row", bound=Model)


def of_version(view: APIView, rows: QuerySet[_Row]) -> QuerySet[_Row]:
    """Return those of the version that the address names.

    Raises
    ------
    NotFound
        There is no such version (404).
    """
    if getattr(view, "swagger_fake_view", False):  # the schema is drawn for no version
        return rows.none()
    return rows.filter(version=selectors.get_version(view.kwargs["version_id"]))
