"""What the endpoints of experiments take and give."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from crowetrade_site.core.api.serializers import Reason
from experiments import selectors
from experiments.api.plans import PlanField
from experiments.intake import Reason as RefusalReason
from experiments.models import Allocation, Analysis, Arm, Experiment, Exposure
from experiments.models.definitions import ANSWERS
from experiments.plans.alarms import Alarm
from experiments.plans.sizing import Sizing, size_of

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


class PlanToSize(serializers.Serializer[Any]):
    """A plan that is to be sized, with its assumptions; it is not kept."""

    plan = PlanField()


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


class Shares(StatedReason):
    """Other shares, with the reason for them."""

    weights = serializers.DictField(
        child=serializers.FloatField(), help_text="Of every arm by its name; they sum to 1."
    )
    context = serializers.CharField(  # type: ignore[assignment] # DRF takes fields off
        required=False, default="", allow_blank=True, max_length=64,
        help_text="Whose shares: needed where the plan has contexts, refused where it has none.",
    )  # fmt: skip


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


class AnalysisRow(serializers.ModelSerializer[Analysis]):
    """One look, without what it found."""

    class Meta:
        model = Analysis
        fields = ["number", "at", "watermark", "n_periods", "verdict", "digest", "seconds"]


class AnalysisDetail(AnalysisRow):
    """One look: what was found, and what it means by the plan."""

    findings = serializers.JSONField(
        help_text="Metrics with arms, comparisons and intervals; null with because where a figure "
        "was not computed. Where shares depend on a context, contexts has the primary metric "
        "within each, which makes no winner. Of a plan with assumptions assumed holds them against "
        "what came, and says how long it takes by that."
    )
    decision = serializers.JSONField(
        help_text="verdict, reason, winner, guardrails; of several primary metrics won_on: those "
        "on which the winner is better."
    )
    analysis_problem = serializers.JSONField(
        source="experiment.analysis_problem",
        allow_null=True,
        help_text="Why the newest look at the experiment failed, which is then none of these; "
        "null where it did not.",
    )

    class Meta(AnalysisRow.Meta):
        fields = [*AnalysisRow.Meta.fields, "findings", "decision", "analysis_problem"]


class AnalysisQuery(serializers.Serializer[Any]):
    """Which look."""

    number = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=2**31 - 1,
        help_text="The newest by default.",
    )  # fmt: skip


class PolicyQuery(serializers.Serializer[Any]):
    """Which shares, of which confidence."""

    share = serializers.ListField(
        child=serializers.CharField(max_length=100), max_length=100,
        help_text="ARM:SHARE, again for each arm that has one; they sum to 1.",
    )  # fmt: skip
    confidence = serializers.FloatField(default=0.95, help_text="Between 0 and 1.")

    def validate_share(self, texts: list[str]) -> dict[str, float]:
        """Return the shares by arm."""
        shares: dict[str, float] = {}
        for text in texts:
            arm, _, share = text.rpartition(":")
            if arm in shares:
                raise serializers.ValidationError(f"The arm {arm} is named twice.")
            try:
                shares[arm] = float(share)
            except ValueError:
                raise serializers.ValidationError(
                    f"{text!r} is no share; write ARM:SHARE, as champion:0.3."
                ) from None
        return shares


class EstimateRow(serializers.Serializer[Any]):
    """An estimate with its interval, for one look."""

    method = serializers.CharField()
    estimate = serializers.FloatField(source="difference")
    standard_error = serializers.FloatField()
    lower = serializers.FloatField()
    upper = serializers.FloatField()
    confidence = serializers.FloatField()
    warnings = serializers.ListField(child=serializers.CharField())


class PolicyValueRow(serializers.Serializer[selectors.PolicyEvaluation]):
    """What shares of the arms would have made, and the arms compared."""

    metric = serializers.CharField()
    shares = serializers.DictField(child=serializers.FloatField())
    n_outcomes = serializers.IntegerField(source="value.n_outcomes")
    n_periods = serializers.IntegerField(source="value.n_periods")
    effective_n = serializers.FloatField(
        source="value.effective_n", help_text="Outcomes that the weights are worth."
    )
    largest_weight = serializers.FloatField(source="value.largest_weight")
    ips = EstimateRow(source="value.ips")
    snips = EstimateRow(source="value.snips")
    doubly_robust = EstimateRow(source="value.doubly_robust")
    gain = EstimateRow(
        source="value.gain", help_text="The doubly robust mean less that of outcomes as they were."
    )
    compared = serializers.DictField(
        child=EstimateRow(), help_text="Each challenger less the control, by AIPW."
    )
    not_compared = serializers.DictField(
        child=serializers.CharField(), help_text="Why there is none, of the other challengers."
    )


class StatisticsQuery(serializers.Serializer[Any]):
    """Sums of which metric."""

    metric = serializers.CharField(max_length=64)


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


class PeriodSums(serializers.Serializer[Any]):
    """Sums of one metric, as columns: one entry per period, allocation and arm."""

    metric = serializers.CharField()
    period_ns = serializers.IntegerField(help_text="Length of a period.")
    arms = serializers.ListField(
        child=serializers.CharField(), help_text="What the numbers in arm mean; 0 is the control."
    )
    columns = serializers.DictField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="period (its start, UTC ns), allocation, arm, n, total, squares, x_total, "
        "x_squares, x_product; of equal lengths.",
    )


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
