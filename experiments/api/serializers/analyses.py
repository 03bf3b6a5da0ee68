"""Analyses, what other shares had made, and sums by period."""

from typing import Any

from rest_framework import serializers

from experiments import selectors
from experiments.models import Analysis


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
