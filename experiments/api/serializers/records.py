"""Experiments, their arms, allocations and alarms, as they are told."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from experiments import selectors
from experiments.api.plans import PlanField
from experiments.models import Allocation, Arm, Experiment, Exposure
from experiments.plans.alarms import Alarm
from experiments.plans.sizing import Sizing, size_of


class ArmRow(RowSerializer[Arm]):
    """One arm, with the version that its model meant at the start."""

    model = serializers.CharField(source="model_uri")

    class Meta:
        model = Arm
        fields = ["name", "position", "model", "version_id", "version_digest", "strategy"]


class ExperimentRow(serializers.ModelSerializer[Experiment]):
    """An experiment as lists show it."""

    id = serializers.UUIDField(source="public_id")
    owner = serializers.CharField(source="owner.username")
    layer = serializers.CharField(source="layer.name", default=None, allow_null=True)
    arms = serializers.SerializerMethodField()

    class Meta:
        model = Experiment
        fields = [
            "id", "name", "status", "status_changed_at", "status_reason", "design", "owner",
            "layer", "arms", "created_at", "started_at", "concluded_at", "verdict", "winner",
            "analyzed_at",
        ]  # fmt: skip

    @extend_schema_field(ArmRow(many=True))
    def get_arms(self, experiment: Experiment) -> list[dict[str, Any]]:
        """Return the arms, the control first."""
        arms = sorted(experiment.arms.all(), key=lambda arm: arm.position)
        return [dict(row) for row in ArmRow(arms, many=True).data]


class AllocationRow(serializers.ModelSerializer[Allocation]):
    """Shares of the arms from a moment on."""

    weights = serializers.SerializerMethodField()
    context = serializers.SerializerMethodField(  # type: ignore[assignment] # DRF takes fields off
        help_text="Of the units that come in it; null where shares depend on none."
    )
    cause = serializers.CharField(help_text="start, policy or person")

    class Meta:
        model = Allocation
        fields = ["number", "at", "context", "weights", "cause", "reason"]

    def get_context(self, allocation: Allocation) -> str | None:
        """Return the context; null where there is none."""
        return allocation.context or None

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_weights(self, allocation: Allocation) -> dict[str, float]:
        """Return the shares by the names of the arms, which the view hands in."""
        arms: list[str] = self.context["arms"]  # type: ignore[index]
        return dict(zip(arms, allocation.weights, strict=True))


class DetectabilityRow(serializers.Serializer[selectors.Detectability]):
    """How large a difference of returns the planned periods can show."""

    years = serializers.FloatField(help_text="That the planned periods take.")
    information_ratio = serializers.FloatField(
        help_text="Least annual information ratio of the difference that is found in four of five "
        "cases, at the level, looking once at the end."
    )
    level = serializers.FloatField(
        help_text="What the plan's confidence and correction leave to a single comparison."
    )
    years_for_ratio_of_1 = serializers.FloatField()
    years_for_ratio_of_2 = serializers.FloatField()
    sentence = serializers.CharField(help_text="The same in words.")


class SizingRow(serializers.Serializer[Sizing]):
    """What planned periods can show, by what the plan assumes: of one look at the end."""

    level = serializers.FloatField(help_text="Two-sided, of a single comparison.")
    power = serializers.FloatField(help_text="Chance of seeing the effect that is asked for.")
    effect = serializers.FloatField(help_text="In the unit of the primary metric.")
    horizon = serializers.IntegerField()
    n_units = serializers.IntegerField(
        allow_null=True,
        help_text="Of all arms together, in periods that are alike; null of a shadow experiment.",
    )
    periods = serializers.IntegerField(help_text="That it takes, with outcomes of both arms.")
    elapsed_periods = serializers.IntegerField(
        help_text="That it takes with those that bring nothing, by assumptions.missing."
    )
    power_at_horizon = serializers.FloatField()
    detectable_effect = serializers.FloatField(help_text="In the planned periods.")
    first_look = serializers.IntegerField(help_text="Periods before the first interval.")
    first_look_effect = serializers.FloatField(
        allow_null=True,
        help_text="Least effect that the plan's interval shows then, with the power that is asked "
        "for; null of the method betting.",
    )
    sentence = serializers.CharField(help_text="The same in words.")


class Sized(serializers.Serializer[Any]):
    """What a plan can show."""

    sizing = SizingRow(allow_null=True, help_text="Null of a plan without assumptions.")
    detectability = DetectabilityRow(allow_null=True)


class AlarmRow(serializers.Serializer[Alarm]):
    """An alarm that the experiment was resumed despite."""

    metric = serializers.CharField(help_text="The guardrail; empty of the mix of units.")
    arm = serializers.CharField(
        help_text="Of the guardrail, or one that units came to while it had no share; empty of the "
        "mix of others."
    )
    shown = serializers.FloatField(
        help_text="How much worse it was shown to be at the least; of the mix of units the "
        "logarithm of the e-value, or how many came to an arm without a share."
    )
    tolerated = serializers.FloatField(
        help_text="Beyond which it pauses the experiment again, in the same unit."
    )


class ExperimentDetail(ExperimentRow):
    """An experiment with its plan, its shares and what was counted."""

    plan = PlanField(read_only=True)
    allocation = serializers.SerializerMethodField(
        help_text="Null of a draft, and where shares depend on a context: see allocations."
    )
    allocations = serializers.SerializerMethodField(
        help_text="The shares in force, one entry a context; empty of a draft."
    )
    tallies = serializers.SerializerMethodField()
    sizing = serializers.SerializerMethodField(help_text="Null of a plan without assumptions.")
    detectability = serializers.SerializerMethodField(
        help_text="Null of units, of other primary metrics than means, and of less than a month."
    )

    acknowledged = AlarmRow(many=True, help_text="Alarms that it was resumed despite.")

    notes = serializers.SerializerMethodField(
        help_text="What is to be known before any analysis: arms that are the same files, what the "
        "ramp costs, and alarms taken back. findings.notes has those of an analysis."
    )

    class Meta(ExperimentRow.Meta):
        fields = [
            *ExperimentRow.Meta.fields, "plan", "plan_digest", "sizing", "detectability",
            "allocation", "allocations", "tallies", "analysis_problem", "acknowledged", "notes",
        ]  # fmt: skip

    @extend_schema_field(SizingRow(allow_null=True))
    def get_sizing(self, experiment: Experiment) -> dict[str, Any] | None:
        """Return what the plan can show by its assumptions; null without any."""
        found = size_of(selectors.plan_of(experiment))
        return None if found is None else dict(SizingRow(found).data)

    @extend_schema_field(DetectabilityRow(allow_null=True))
    def get_detectability(self, experiment: Experiment) -> dict[str, Any] | None:
        """Return what the planned time can show; null where that is not said."""
        found = selectors.detectability(selectors.plan_of(experiment))
        return None if found is None else dict(DetectabilityRow(found).data)

    def get_notes(self, experiment: Experiment) -> list[str]:
        """Return sentences for people."""
        return selectors.plan_notes(experiment, selectors.plan_of(experiment))

    @extend_schema_field(AllocationRow(allow_null=True))
    def get_allocation(self, experiment: Experiment) -> dict[str, Any] | None:
        """Return the shares in force, where there is one set of them."""
        rows = self.get_allocations(experiment)
        return rows[0] if [row["context"] for row in rows] == [None] else None

    @extend_schema_field(AllocationRow(many=True))
    def get_allocations(self, experiment: Experiment) -> list[dict[str, Any]]:
        """Return the shares in force by context, in the plan's order."""
        names = [arm["name"] for arm in self.get_arms(experiment)]
        rows = self.context.get("allocations", ())
        return [dict(row) for row in AllocationRow(rows, many=True, context={"arms": names}).data]

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_tallies(self, experiment: Experiment) -> dict[str, int]:  # noqa: ARG002 - DRF's form
        """Return how many outcomes were taken, and not, by reason."""
        found: dict[str, int] = self.context.get("tallies", {})
        return found


class ExposureRow(serializers.ModelSerializer[Exposure]):
    """A unit that met its arm."""

    arm = serializers.CharField(source="arm.name")
    context = serializers.SerializerMethodField(  # type: ignore[assignment] # DRF takes fields off
        help_text="That the unit came in; null where shares depend on none, and by an override."
    )
    reason = serializers.SerializerMethodField()

    class Meta:
        model = Exposure
        fields = [
            "unit", "arm", "allocation", "context", "probability", "reason", "at", "attributes",
        ]  # fmt: skip

    def get_context(self, exposure: Exposure) -> str | None:
        """Return the context; null where there is none."""
        return exposure.context or None

    def get_reason(self, exposure: Exposure) -> str:
        """Return assigned, or override, which no analysis counts."""
        return "override" if exposure.is_override else "assigned"
