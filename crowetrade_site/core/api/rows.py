"""Rows that are answers alone: read by column, and written without what forms need.

DRF makes the fields of a serializer anew for every answer and asks each of them, for every row, how
it is read; Django makes an object of every row and of every row it joins. Of a list of fifty rows
that was nine tenths of the time.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import fields, serializers
from rest_framework.generics import ListAPIView

_Row = TypeVar("_Row", bound=Model)
_Write = Callable[[Any], Any]

# What JSON holds as it is.
_PLAIN: Final = (
    fields.CharField, fields.IntegerField, fields.BooleanField, fields.FloatField, fields.JSONField,
)  # fmt: skip


class RowSerializer(serializers.ModelSerializer[_Row]):
    """A model's row as it is told; it takes nothing in, and its methods know no request.

    Attributes
    ----------
    read_by_methods : tuple of str
        Columns that its method fields read, for lists that read by column.
    """

    read_by_methods: ClassVar[tuple[str, ...]] = ()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the row of an object, or of the columns that `columns` names."""
        writers = _of_objects if isinstance(instance, Model) else _of_columns
        return {name: write(instance) for name, write in writers(type(self))}

    @classmethod
    def columns(cls) -> list[str]:
        """Return the columns that it shows, as a queryset names them."""
        shown = [
            str(field.source).replace(".", "__")
            for field in _readable(cls)
            if not isinstance(field, serializers.SerializerMethodField)
        ]
        return list(dict.fromkeys([*shown, *cls.read_by_methods]))


class RowsView(ListAPIView[_Row]):
    """A list that reads the columns its rows show, and no more."""

    serializer_class: type[RowSerializer[_Row]]

    def paginate_queryset(self, queryset: Any) -> Any:
        """Return a page of named columns."""
        rows: QuerySet[_Row] = queryset.values_list(*self.serializer_class.columns(), named=True)
        return super().paginate_queryset(rows)


@cache
def _readable(kind: type[RowSerializer[Any]]) -> list[fields.Field]:
    return [field for field in kind().fields.values() if not field.write_only]


@cache
def _of_objects(kind: type[RowSerializer[Any]]) -> list[tuple[str, _Write]]:
    """Return, for each field of a kind of row, what makes its value of an object."""
    return [(str(field.field_name), _of_object(field)) for field in _readable(kind)]


@cache
def _of_columns(kind: type[RowSerializer[Any]]) -> list[tuple[str, _Write]]:
    """Return, for each field of a kind of row, what makes its value of named columns."""
    return [(str(field.field_name), _of_column(field)) for field in _readable(kind)]


def _of_object(field: fields.Field) -> _Write:
    if isinstance(field, serializers.SerializerMethodField):
        return _method(field)
    if _is_always_there(field):
        return _written(field, attrgetter(str(field.source)))
    return _written(field, field.get_attribute)


def _is_always_there(field: fields.Field) -> bool:
    """Return whether an attribute is all there is to read; DRF knows what else there may be."""
    if field.default is not fields.empty or field.source == "*":
        return False
    return "." not in str(field.source) or not field.allow_null


def _of_column(field: fields.Field) -> _Write:
    if isinstance(field, serializers.SerializerMethodField):
        return _method(field)
    return _written(field, attrgetter(str(field.source).replace(".", "__")))


def _method(field: serializers.SerializerMethodField) -> _Write:
    write: _Write = getattr(field.parent, str(field.method_name))
    return write


def _written(field: fields.Field, read: _Write) -> _Write:
    """Return what reads a value and writes it as the field would."""
    if type(field) in _PLAIN:
        return read
    write = _moment if type(field) is fields.DateTimeField else field.to_representation

    def written(row: Any) -> Any:
        value = read(row)
        return None if value is None else write(value)

    return written


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
