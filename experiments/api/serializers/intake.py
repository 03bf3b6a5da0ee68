"""Units that ask for their arms, outcomes that come in, and what leaves again."""

from typing import Any

from rest_framework import serializers

from experiments.intake import Reason as RefusalReason


class UnitRequest(serializers.Serializer[Any]):
    """One unit with its attributes, or several: exactly one of the two."""

    unit = serializers.CharField(required=False, help_text="1 to 256 bytes, no control characters.")
    attributes = serializers.DictField(
        required=False, help_text="What the targeting and the context ask about."
    )
    units = serializers.ListField(
        required=False,
        max_length=1_000,
        help_text='Names, or objects {"unit": ..., "attributes": ...}.',
    )


class MeetingRow(serializers.Serializer[Any]):
    """What a unit met; `assignments` instead, where several were asked for."""

    unit = serializers.CharField()
    arm = serializers.CharField(allow_null=True, help_text="Null: the unit takes no part.")
    probability = serializers.FloatField(allow_null=True)
    allocation = serializers.IntegerField(allow_null=True)
    context = serializers.CharField(  # type: ignore[assignment] # DRF takes fields off
        allow_null=True,
        help_text="That the unit met its arm in; null where shares depend on none.",
    )
    reason = serializers.ChoiceField(
        ["assigned", "override", "not_targeted", "outside_layer_range", "held_out", "not_ramped"]
    )
    is_new = serializers.BooleanField(help_text="Whether it met its arm just now.")


class Meetings(serializers.Serializer[Any]):
    """What several units met, in their order."""

    assignments = MeetingRow(many=True)


class OutcomeRow(serializers.Serializer[Any]):
    """One outcome."""

    metric = serializers.CharField()
    value = serializers.FloatField()
    at = serializers.CharField(help_text="ISO 8601 with its zone, or an integer of UTC ns.")
    unit = serializers.CharField(required=False, help_text="Of an assigned experiment.")
    arm = serializers.CharField(required=False, help_text="Of a shadow experiment.")
    key = serializers.CharField(
        required=False, help_text="What makes a retry harmless; unit or arm, metric, at by default."
    )
    x = serializers.FloatField(required=False, help_text="Covariate, or a ratio's denominator.")


class OutcomeBatch(serializers.Serializer[Any]):
    """At most 10,000 outcomes."""

    outcomes = OutcomeRow(many=True)


class RefusalRow(serializers.Serializer[Any]):
    """One row that was not taken."""

    row = serializers.IntegerField(help_text="Counted from 0.")
    reason = serializers.ChoiceField([(one.value, one.value) for one in RefusalReason])
    detail = serializers.CharField()


class ReceiptRow(serializers.Serializer[Any]):
    """What became of a batch; accepted, duplicate and refused make up all of it."""

    accepted = serializers.IntegerField()
    duplicate = serializers.IntegerField(help_text="Counted before; harmless.")
    late = serializers.IntegerField(help_text="Accepted, though their period could be analyzed.")
    refused = serializers.DictField(child=serializers.IntegerField())
    refusals = RefusalRow(many=True, help_text="The first 20.")


class ExportQuery(serializers.Serializer[Any]):
    """Of which time."""

    since = serializers.DateTimeField(
        default=None, help_text="At or after, by `at`; a plus sign is written as %2B."
    )
    until = serializers.DateTimeField(default=None, help_text="Before.")


class OutcomesExportQuery(ExportQuery):
    """Of which metrics, of which time."""

    metric = serializers.ListField(
        child=serializers.CharField(max_length=64), default=list, max_length=100,
        help_text="A metric, again for each; all of them by default.",
    )  # fmt: skip
