"""What the endpoints of datasets and runs take and give."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from backtests import selectors
from backtests.api.specs import SpecField
from backtests.jobs import COMPILING
from backtests.lifecycle import Priority
from backtests.models import Dataset, Run
from crowetrade_site.core.api.rows import RowSerializer


class DatasetRow(RowSerializer[Dataset]):
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

    spec = SpecField(help_text="The same document as for `manage.py run`.")
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
    priority = serializers.ChoiceField(
        [(p.value, p.value) for p in Priority],
        default=Priority.NORMAL.value,
        help_text="The share of the workers a study has beside others; high needs runs:operate.",
    )

    def validate_spec(self, spec: Any) -> dict[str, Any]:
        """Accept an object only."""
        if not isinstance(spec, dict):
            raise serializers.ValidationError("spec must be a JSON object.")
        return spec


class PriorityRequest(serializers.Serializer[Any]):
    """Another priority, with the reason for it."""

    priority = serializers.ChoiceField([(p.value, p.value) for p in Priority])
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class KeepRequest(serializers.Serializer[Any]):
    """Whether artefacts are kept for ever, with the reason for it."""

    is_kept = serializers.BooleanField()
    reason = serializers.CharField(max_length=500)


class RunEstimate(serializers.Serializer[Any]):
    """What a run is estimated to take."""

    n_trials = serializers.IntegerField(help_text="At most; a replay has none.")
    cost = serializers.FloatField(help_text="The same in trials on all the data.")
    seconds = serializers.FloatField(help_text="Of one core.")
    is_measured = serializers.BooleanField(help_text="By trials like these; else a rule of thumb.")


class Progress(serializers.Serializer[Any]):
    """How far a run is."""

    phase = serializers.CharField(
        help_text=f"What a worker is doing, in words; {COMPILING!r} after an installation or an "
        "update. Empty while no worker is at it."
    )
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    unit = serializers.ChoiceField(
        ["bars", "trials", "folds", "policies", "experiments", "futures"],
        help_text="What is counted: a study counts trials, a replay policies and experiments.",
    )


class Best(serializers.Serializer[Any]):
    """The best trial of a study."""

    number = serializers.IntegerField(allow_null=True, help_text="Null while the study runs.")
    objective = serializers.CharField()
    value = serializers.FloatField()
    parameters = serializers.DictField()


class StudyState(serializers.Serializer[Any]):
    """How far a study is, what it did out of sample, and its best with of how many it is that."""

    out_of_sample = serializers.DictField(
        child=serializers.FloatField(allow_null=True),
        source="outside.values",
        allow_null=True,
        help_text="Of a walk-forward: sharpe, cagr, max_drawdown, efficiency, n_folds. Of a "
        "cross-validation: sharpe_median, sharpe_5_percent, sharpe_95_percent, loss_share, "
        "n_paths, n_folds. Null of other studies, and before it is over.",
    )
    claim = serializers.CharField(
        source="shown_claim", help_text="Belongs beside every figure of the best."
    )
    best = Best(allow_null=True)
    n_done = serializers.IntegerField(source="progress.n_done")
    n_total = serializers.IntegerField(source="progress.n_total")
    n_reused = serializers.IntegerField(
        source="progress.n_reused", help_text="Taken over from earlier studies."
    )
    chunks = serializers.DictField(child=serializers.IntegerField(), source="progress.chunks")
    trials_per_second = serializers.FloatField(source="progress.rate", allow_null=True)
    eta_seconds = serializers.FloatField(source="progress.eta_seconds", allow_null=True)


class ReplayedPolicy(serializers.Serializer[Any]):
    """What a policy earned on resampled histories: returns added up, with Monte-Carlo errors."""

    name = serializers.CharField()
    reward = serializers.FloatField()
    reward_error = serializers.FloatField()
    regret = serializers.FloatField(help_text="To the best arm in hindsight.")
    regret_error = serializers.FloatField()
    gain = serializers.FloatField(help_text="Over equal shares.")
    gain_error = serializers.FloatField()
    happened_gain = serializers.FloatField(help_text="The same on the periods in their order.")


class PolicyInRegime(serializers.Serializer[Any]):
    """What a policy did in the periods of one regime; errors are Monte-Carlo's."""

    name = serializers.CharField()
    gain = serializers.FloatField(help_text="Over equal shares.")
    gain_error = serializers.FloatField()
    regret = serializers.FloatField(help_text="To the arm that was the best in this regime.")
    regret_error = serializers.FloatField()
    happened_gain = serializers.FloatField(help_text="The gain on the periods in their order.")
    shares = serializers.DictField(
        child=serializers.FloatField(), allow_null=True, help_text="Of its decisions, by arm."
    )


class ReplayedRegime(serializers.Serializer[Any]):
    """A regime of the replayed time."""

    regime = serializers.CharField()
    n_periods = serializers.IntegerField()
    totals = serializers.DictField(
        child=serializers.FloatField(), help_text="Returns added up, by arm."
    )
    policies = PolicyInRegime(many=True)


class WinnersShare(serializers.Serializer[Any]):
    """How many experiments ended with a winner, and how sure their share is."""

    n_winners = serializers.IntegerField()
    share = serializers.FloatField()
    error = serializers.FloatField(help_text="Binomial standard error of the share.")
    lower = serializers.FloatField(help_text="Of the exact 95 % interval of the share.")
    upper = serializers.FloatField()


class ArmWinners(WinnersShare):
    """How many experiments an arm won."""

    arm = serializers.CharField()


class RepeatedExperiment(WinnersShare):
    """The experiment on resampled histories: its power, or of A/A its false alarms."""

    n = serializers.IntegerField(help_text="Experiments, each on a history of its own.")
    horizon = serializers.IntegerField(help_text="Periods of each history.")
    mean_block = serializers.FloatField(help_text="Of the resampling, in periods.")
    allowed = serializers.FloatField(help_text="False alarms that the plan allows, as a share.")
    n_no_difference = serializers.IntegerField()
    n_not_computed = serializers.IntegerField()
    mean_periods = serializers.FloatField(
        allow_null=True, help_text="Periods that one takes, with an answer or without."
    )
    winners = ArmWinners(many=True)


class ReplayState(serializers.Serializer[Any]):
    """What an experiment would have said on the returns of other runs, and when."""

    sentence = serializers.CharField(source="verdict")
    verdict = serializers.ChoiceField(
        ["winner", "no_difference", "inconclusive", "continue"], source="values.verdict"
    )
    winner = serializers.CharField(source="values.winner", help_text="An arm; empty without one.")
    n_periods = serializers.IntegerField(
        source="values.n_periods", allow_null=True, help_text="After how many it fell."
    )
    at = serializers.CharField(source="values.at", allow_null=True)
    best_arm = serializers.CharField(source="values.best_arm", help_text="In hindsight.")
    policies = ReplayedPolicy(many=True, source="values.policies")
    repeated = RepeatedExperiment(
        source="values.repeated", allow_null=True, help_text="Null of old replays."
    )
    regimes = ReplayedRegime(
        source="values.regimes", many=True, allow_null=True,
        help_text="Null of a replay without features.",
    )  # fmt: skip


class EvidenceFor(serializers.Serializer[Any]):
    """The registered version that a run speaks for, and what the registry has taken over."""

    version_id = serializers.UUIDField(source="tested_version")
    version = serializers.CharField(
        source="tested_name", help_text="Such as models:/momentum/3, as it was queued."
    )
    state = serializers.ChoiceField(["to come", "due", "handed in", "refused", "none"])
    evidence = serializers.ListField(child=serializers.UUIDField())
    problem = serializers.JSONField(source="evidence_problem", allow_null=True)
    no_deflated_sharpe = serializers.CharField(
        allow_blank=True,
        help_text="Why a search handed in no deflated Sharpe ratio: the best trial is another than "
        "the version's file, and where they differ. Empty where there is nothing to say.",
    )


class Cancellation(serializers.Serializer[Any]):
    """Who asked a run to stop, and why."""

    by = serializers.CharField(source="actor")
    at = serializers.DateTimeField()
    reason = serializers.CharField(help_text="Empty where none was given.")


class RunRow(RowSerializer[Run]):
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
            "finished_at", "progress", "priority", "attempt", "spec_digest", "result_digest",
            "problem", "reproduces",
        ]  # fmt: skip

    @extend_schema_field(Progress)
    def get_progress(self, run: Run) -> dict[str, Any]:
        """Return phase and what is done: trials of a study, else bars."""
        return {
            "phase": run.phase,
            "done": run.progress_done,
            "total": run.progress_total,
            "unit": selectors.unit_of_progress(run),
        }


class RunDetail(RunRow):
    """A run with its spec and what came out."""

    study = serializers.SerializerMethodField()
    replay = serializers.SerializerMethodField()
    spec = SpecField(read_only=True)
    evidence_for = serializers.SerializerMethodField()
    cancellation = serializers.SerializerMethodField()

    class Meta(RunRow.Meta):
        fields = [
            *RunRow.Meta.fields, "study", "replay", "spec", "reason", "summary", "artifacts",
            "code_digest", "environment", "worker", "cancel_requested_at", "cancellation",
            "is_kept", "artifacts_expired_at", "artifacts_removed_at", "evidence_for",
        ]  # fmt: skip
        extra_kwargs = {
            "artifacts_expired_at": {
                "help_text": "Since when its files are no longer served: they were removed, or are "
                "about to be. Reproduce the run to have them again."
            }
        }

    @extend_schema_field(Cancellation(allow_null=True))
    def get_cancellation(self, run: Run) -> dict[str, Any] | None:
        """Return who asked the run to stop, and why; null where nobody did."""
        found = selectors.find_cancellation(run)
        return None if found is None else dict(Cancellation(found).data)

    @extend_schema_field(EvidenceFor(allow_null=True))
    def get_evidence_for(self, run: Run) -> dict[str, Any] | None:
        """Return the version whose file was the strategy; null for any other strategy."""
        if run.tested_version is None:
            return None
        pieces = [piece.public_id for piece in selectors.list_evidence_of(run)]
        shown = {
            "tested_version": run.tested_version, "tested_name": run.tested_name,
            "evidence_problem": run.evidence_problem, "evidence": pieces,
            "state": selectors.evidence_state(run, has_pieces=bool(pieces)),
            "no_deflated_sharpe": selectors.why_no_deflated_sharpe(run),
        }  # fmt: skip
        return dict(EvidenceFor(shown).data)

    @extend_schema_field(StudyState(allow_null=True))
    def get_study(self, run: Run) -> dict[str, Any] | None:
        """Return chunks, pace and best of a study; null for a backtest."""
        study = selectors.get_study(run)
        return None if study is None else dict(StudyState(study).data)

    @extend_schema_field(ReplayState(allow_null=True))
    def get_replay(self, run: Run) -> dict[str, Any] | None:
        """Return the answer and the policies of a replay; null of any other run."""
        shown = selectors.get_replay_state(run)
        return None if shown is None else dict(ReplayState(shown).data)


class TrialsQuery(serializers.Serializer[Any]):
    """Which trials of a study, in which order."""

    order = serializers.CharField(
        default="number",
        max_length=100,
        help_text="A column of numbers, such as sharpe or objective_0; -sharpe for the highest "
        "first. Trials without a value come last.",
    )
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)
    offset = serializers.IntegerField(default=0, min_value=0, max_value=2**40)
    columns = serializers.CharField(
        default="",
        max_length=4000,
        allow_blank=True,
        help_text="Names with commas between, or all; number, parameters, objectives, reason and "
        "violation are always there.",
    )
    feasible = serializers.BooleanField(
        default=None, allow_null=True, help_text="Only trials that are, or that are not."
    )

    def validate_columns(self, columns: str) -> list[str]:
        """Split the names."""
        return [name.strip() for name in columns.split(",") if name.strip()]


class TrialsPage(serializers.Serializer[Any]):
    """Some trials of a study."""

    count = serializers.IntegerField(help_text="Trials on all pages.")
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = serializers.ListField(
        child=serializers.DictField(),
        help_text="Columns by name; null where a figure was not computed.",
    )


class Artifact(serializers.Serializer[Any]):
    """A file a run left behind."""

    name = serializers.CharField()
    digest = serializers.CharField()
    bytes = serializers.IntegerField()
    url = serializers.CharField()
