"""The feed of what happened in the registry."""

from typing import Any

from rest_framework import serializers


class EventsQuery(serializers.Serializer[Any]):
    """From where, and how many."""

    after = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=40,
        help_text="The `next` of the page before; from the first event without.",
    )  # fmt: skip
    limit = serializers.IntegerField(default=100, min_value=1, max_value=500)


class EventRow(serializers.Serializer[Any]):
    """One event; it may come twice, under the same id."""

    cursor = serializers.CharField()
    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    verb = serializers.CharField()
    actor = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField()
    object_type = serializers.CharField()
    object_id = serializers.CharField()
    before = serializers.DictField()
    after = serializers.DictField()


class EventsPage(serializers.Serializer[Any]):
    """Some events, oldest first, and where to go on."""

    events = EventRow(many=True)
    next = serializers.CharField(
        allow_blank=True, help_text="Keep it once the events are dealt with; ask with it again."
    )
