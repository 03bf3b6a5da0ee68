"""What MLflow's clients may send, message by message."""

import re
from typing import Any

from rest_framework import serializers

from registry.rules import names

_NUMBER = re.compile(r"[0-9]{1,9}")
MOST_MODELS, MOST_VERSIONS = 1_000, 200_000


def text(**options: Any) -> serializers.CharField:
    """Return a field of text that is kept as it came."""
    return serializers.CharField(trim_whitespace=False, **options)


def note(max_length: int | None = None) -> serializers.CharField:
    """Return a field of text that may be empty or left out."""
    return text(allow_blank=True, required=False, default="", max_length=max_length)


class Number(serializers.Field[int, Any, str, int]):
    """The number of a version, which clients write as text."""

    def to_internal_value(self, data: Any) -> int:
        """Return it, or refuse what is no number."""
        if not _NUMBER.fullmatch(str(data)):
            raise serializers.ValidationError(f"{str(data)[:40]!r} is no version's number.")
        return int(data)

    def to_representation(self, value: int) -> str:
        """Return it as clients write it."""
        return str(value)


class Tag(serializers.Serializer[Any]):
    """A key and a value."""

    key = text(max_length=names.LONGEST_TAG_KEY)
    value = text(allow_blank=True, max_length=names.LONGEST_TAG_VALUE)


class Named(serializers.Serializer[Any]):
    """A model."""

    name = text()


class NewModel(Named):
    """A model to be."""

    description = note()
    tags = Tag(many=True, required=False)


class Described(Named):
    """A model and what is said of it."""

    description = note()


class Renamed(Named):
    """A model and its name from now on."""

    new_name = text()


class Tagged(Named, Tag):
    """A model and a tag for it."""


class TagOf(Named):
    """A model and the key of a tag."""

    key = text()


class Aliased(Named):
    """A model and an alias."""

    alias = text()


class Numbered(Named):
    """A version."""

    version = Number()


class NewAlias(Aliased, Numbered):
    """An alias and the version it shall stand for."""


class NewVersion(Described):
    """A version to be."""

    source = text(max_length=2000)  # type: ignore[assignment]
    run_id = note(64)
    run_link = note(2000)
    model_id = note(64)
    tags = Tag(many=True, required=False)


class DescribedVersion(Numbered, Described):
    """A version and what is said of it."""


class TaggedVersion(Numbered, Tag):
    """A version and a tag for it."""


class TagOfVersion(Numbered, TagOf):
    """A version and the key of a tag."""


class Transition(Numbered):
    """A version and the stage it shall have."""

    stage = text()
    archive_existing_versions = serializers.BooleanField(required=False, default=False)


class Latest(Named):
    """A model and the stages that are asked for."""

    stages = serializers.ListField(child=text(), required=False, default=list)


class _Searched(serializers.Serializer[Any]):
    filter = note()
    order_by = serializers.ListField(child=text(), required=False, default=list)
    page_token = note()


class SearchedModels(_Searched):
    """A search of models."""

    max_results = serializers.IntegerField(
        min_value=1, max_value=MOST_MODELS, required=False, default=100
    )


class SearchedVersions(_Searched):
    """A search of versions."""

    max_results = serializers.IntegerField(
        min_value=1, max_value=MOST_VERSIONS, required=False, default=MOST_VERSIONS
    )


class Folder(serializers.Serializer[Any]):
    """A folder whose files are asked for; the top where it is left out."""

    path = note()
