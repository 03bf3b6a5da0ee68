"""How far a study is: its chunks counted in one query, and the best so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, FloatField, Min, Q, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from backtests.lifecycle import RUNS, ChunkStatus, RunKind
from backtests.models import Run
from backtests.runspec import SECTIONS
from backtests.selectors.figures import write_time

# Phases of a study in which it counts no trials: the last look at what it found.
OF_BARS = frozenset({"loading", "deciding", "simulating", "measuring", "recording"})
OF_FOLDS = "running the best"
REPEATING = "repeating the experiment"
DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Progress:
    """The trials and chunks of a study, counted.

    Attributes
    ----------
    n_done, n_total, n_reused : int
        Trials computed; trials there will be; those of the first that an earlier study computed.
    chunks : dict of str to int
        How many chunks are in each status.
    busy_seconds : float
        Time of workers, summed.
    elapsed_seconds : float
        From the first chunk's message to the last row, or to now.
    rate : float or None
        Trials a second over that time, reused ones left out; None before the first.
    eta_seconds : float or None
        None when it is over or cannot be told.
    """

    n_done: int
    n_total: int
    n_reused: int
    chunks: dict[str, int]
    busy_seconds: float
    elapsed_seconds: float
    rate: float | None
    eta_seconds: float | None

    @property
    def percent(self) -> int:
        """Share of the trials that are done, which is 100 only when all are."""
        return int(100 * self.n_done / self.n_total) if self.n_total else 0

    @property
    def n_done_text(self) -> str:
        """Trials done."""
        return f"{self.n_done:,} trial{'' if self.n_done == 1 else 's'}"

    @property
    def trials_text(self) -> str:
        """Trials done, of all."""
        return f"{self.n_done:,} of {self.n_total:,} trials"

    @property
    def reused_text(self) -> str:
        """How many trials an earlier study had computed."""
        return f"{self.n_reused:,} trials taken over from earlier studies"

    @property
    def pace_text(self) -> str:
        """Rate, and the time it still takes; empty before there is one."""
        if self.rate is None:
            return ""
        pace = f"{self.rate:,.0f} trials a second" if self.rate >= 10 else self._slow()
        if not self.eta_seconds:
            return pace
        return f"{pace}, {write_time(max(1.0, round(self.eta_seconds)) / DAY_SECONDS)} left"

    def _slow(self) -> str:
        return f"{self.rate or 0.0:.2g} trials a second"

    @property
    def chunks_text(self) -> str:
        """Chunks by status, those statuses that occur."""
        words = {ChunkStatus.QUARANTINED.value: "given up"}
        said = [f"{n:,} {words.get(state, state)}" for state, n in self.chunks.items() if n]
        n_chunks = sum(self.chunks.values())
        return f"{n_chunks:,} chunk{'' if n_chunks == 1 else 's'}: {', '.join(said)}"


def is_study(run: Run) -> bool:
    """Return whether a run's work is many trials."""
    return kind_of(run) in SECTIONS


def kind_of(run: Run) -> str:
    """Return the kind of a run, of a reproduction that of what it reproduces."""
    return str(run.spec["kind"] if run.kind == RunKind.REPRODUCTION else run.kind)


def search_of(run: Run) -> Mapping[str, Any]:
    """Return the search of a study's spec, wherever its kind keeps it."""
    kind = kind_of(run)
    section: Mapping[str, Any] = run.spec.get(SECTIONS[kind]) or {}
    return section if kind == RunKind.SWEEP else section.get("search") or {}


def unit_of_progress(run: Run) -> str:
    """Return what `progress_done` and `progress_total` of a run count."""
    if kind_of(run) == RunKind.REPLAY:
        return "experiments" if run.phase == REPEATING else "policies"
    if run.kind == RunKind.CAUSALITY_CHECK:
        return "futures"
    if not is_study(run) or run.phase in OF_BARS:
        return "bars"
    return "folds" if run.phase == OF_FOLDS else "trials"


def get_progress(run: Run) -> Progress:
    """Return how far a study is."""
    states = {
        state.value: Count("pk", filter=Q(status=state)) for state in ChunkStatus
    }  # fmt: skip
    done = Q(status=ChunkStatus.DONE)
    counted = run.chunks.aggregate(
        **states,
        n_planned=Sum("n_trials"),
        n_done=Sum("n_trials", filter=done),
        n_reused=Sum("n_trials", filter=done & Q(is_reused=True)),
        busy=Sum("seconds"),
        began=Min("published_at"),
    )
    n_done, n_reused = counted["n_done"] or 0, counted["n_reused"] or 0
    n_total = counted["n_planned"] or 0
    if unit_of_progress(run) == "trials":
        n_total = max(n_total, run.progress_total)
    is_over = run.status in RUNS.terminal
    began = run.started_at if is_over else (counted["began"] or run.started_at)
    elapsed = ((run.finished_at or timezone.now()) - began) if began else timedelta()
    seconds = max(0.0, elapsed.total_seconds())
    n_computed = n_done - n_reused
    rate = n_computed / seconds if n_computed and seconds > 0 else None
    return Progress(
        n_done=n_done,
        n_total=n_total,
        n_reused=n_reused,
        chunks={state: counted[state] for state in states},
        busy_seconds=counted["busy"] or 0.0,
        elapsed_seconds=seconds,
        rate=rate,
        eta_seconds=None if rate is None or is_over else (n_total - n_done) / rate,
    )


def best_so_far(run: Run, *, is_maximized: bool) -> dict[str, Any] | None:
    """Return value and parameters of the best trial of the chunks that are done."""
    value = Cast(KT("summary__best__value"), FloatField())
    known = run.chunks.done().annotate(best_value=value).filter(best_value__isnull=False)
    first = known.order_by("-best_value" if is_maximized else "best_value", "first")
    found: dict[str, Any] | None = first.values_list("summary__best", flat=True).first()
    return found
