"""What begins, changes and ends an experiment."""

from typing import Any

from rest_framework import serializers

from crowetrade_site.core.api.serializers import Reason
from experiments.api.plans import PlanField
from experiments.models.definitions import ANSWERS

LONGEST_REASON = 500


class PlanRequest(serializers.Serializer[Any]):
    """A plan to be kept as a draft."""

    plan = PlanField(help_text="The same document as for `manage.py create_experiment`.")

    def validate_plan(self, plan: Any) -> dict[str, Any]:
        """Accept an object only."""
        if not isinstance(plan, dict):
            raise serializers.ValidationError("plan must be a JSON object.")
        return plan


class RevisionRequest(PlanRequest, Reason):
    """A whole plan in the place of a draft's, with the reason for it."""


class StatedReason(serializers.Serializer[Any]):
    """Why something is done to what runs."""

    reason = serializers.CharField(max_length=LONGEST_REASON)


class Start(Reason):
    """The start of an experiment."""

    allow_same_arms = serializers.BooleanField(
        default=False,
        help_text="Start although arms are the same files: an A/A test. Refused otherwise.",
    )


class Conclusion(StatedReason):
    """An answer by a person."""

    verdict = serializers.ChoiceField([(one.value, one.value) for one in ANSWERS])
    winner = serializers.CharField(
        required=False, allow_blank=True, default="", help_text="With the verdict winner: which."
    )


class Shares(StatedReason):
    """Other shares, with the reason for them."""

    weights = serializers.DictField(
        child=serializers.FloatField(), help_text="Of every arm by its name; they sum to 1."
    )
    context = serializers.CharField(  # type: ignore[assignment] # DRF takes fields off
        required=False, default="", allow_blank=True, max_length=64,
        help_text="Whose shares: needed where the plan has contexts, refused where it has none.",
    )  # fmt: skip


class PlanToSize(serializers.Serializer[Any]):
    """A plan that is to be sized, with its assumptions; it is not kept."""

    plan = PlanField()
