"""What the endpoints of datasets and runs take and give."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backtests.models import Dataset, Run


class DatasetRow(serializers.ModelSerializer[Dataset]):
    """A dataset version without its report."""

    id = serializers.UUIDField(source="public_id")

    class Meta:
        model = Dataset
        fields = [
            "id", "name", "version", "status", "kind", "digest", "currency", "n_rows", "n_refused",
            "n_instruments", "first_at", "last_at", "source_name", "created_at", "problem",
        ]  # fmt: skip


class DatasetDetail(DatasetRow):
    """A dataset version with manifest and quality report."""

    class Meta(DatasetRow.Meta):
        fields = [*DatasetRow.Meta.fields, "manifest", "report", "options"]


class DatasetUpload(serializers.Serializer[Any]):
    """A file to import, with what is stated about it."""

    name = serializers.SlugField(max_length=80)
    file = serializers.FileField()
    options = serializers.JSONField(required=False, default=dict)

    def validate_options(self, options: Any) -> dict[str, Any]:
        """Accept an object only."""
        if not isinstance(options, dict):
            raise serializers.ValidationError("options must be a JSON object.")
        return options


class RunRequest(serializers.Serializer[Any]):
    """A run's spec with the reason for it."""

    spec = serializers.JSONField(help_text="The same document as for `manage.py run`.")
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)

    def validate_spec(self, spec: Any) -> dict[str, Any]:
        """Accept an object only."""
        if not isinstance(spec, dict):
            raise serializers.ValidationError("spec must be a JSON object.")
        return spec


class RunEstimate(serializers.Serializer[Any]):
    """What a run is estimated to take."""

    n_trials = serializers.IntegerField(help_text="At most.")
    cost = serializers.FloatField(help_text="The same in trials on all the data.")
    seconds = serializers.FloatField(help_text="Of one core.")
    is_measured = serializers.BooleanField(help_text="By trials like these; else a rule of thumb.")


class Progress(serializers.Serializer[Any]):
    """How far a run is."""

    phase = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class RunRow(serializers.ModelSerializer[Run]):
    """A run as lists show it."""

    id = serializers.UUIDField(source="public_id")
    dataset = serializers.CharField(source="dataset.name")
    requested_by = serializers.CharField(source="requested_by.username")
    progress = serializers.SerializerMethodField()
    reproduces = serializers.UUIDField(source="reproduces.public_id", default=None)

    class Meta:
        model = Run
        fields = [
            "id", "kind", "status", "dataset", "requested_by", "created_at", "started_at",
            "finished_at", "progress", "attempt", "spec_digest", "result_digest", "problem",
            "reproduces",
        ]  # fmt: skip

    @extend_schema_field(Progress)
    def get_progress(self, run: Run) -> dict[str, Any]:
        """Return phase and bars done."""
        return {"phase": run.phase, "done": run.progress_done, "total": run.progress_total}


class RunDetail(RunRow):
    """A run with its spec and what came out."""

    class Meta(RunRow.Meta):
        fields = [
            *RunRow.Meta.fields, "spec", "reason", "summary", "artifacts", "code_digest",
            "environment", "worker", "cancel_requested_at",
        ]  # fmt: skip


class Artifact(serializers.Serializer[Any]):
    """A file a run left behind."""

    name = serializers.CharField()
    digest = serializers.CharField()
    bytes = serializers.IntegerField()
    url = serializers.CharField()
