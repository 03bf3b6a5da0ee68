"""Objects of JSON whose keys and values are the client's own."""

from typing import Any

from rest_framework import serializers

from registry.artifacts.documents import storable
from registry.artifacts.errors import UnreadableError


class ObjectField(serializers.DictField):
    """An object that the database can keep as it came: said here, it is no accident there."""

    default_error_messages = {
        "unkept": "A text holds a NUL or half a sign, a number is larger than any that is computed "
        "with, or it is nested too deeply: leave it out.",
    }  # fmt: skip

    def to_internal_value(self, data: Any) -> Any:
        """Return the object, or refuse what in it no database keeps."""
        found = super().to_internal_value(data)
        try:
            is_kept = storable(found) == found
        except UnreadableError:
            is_kept = False
        if not is_kept:
            self.fail("unkept")
        return found
