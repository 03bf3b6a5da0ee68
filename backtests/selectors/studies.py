"""What a person sees of a study: out of sample first, its best with how many it is the best of.

Read from the run's summary and a few counting queries over its chunks, never from the table of
trials, so that the page of a million trials opens as quickly as that of ten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backtests.lifecycle import RUNS, ChunkStatus
from backtests.models import Run
from backtests.selectors import claims, leaders, pictures, selection, verdicts
from backtests.selectors.comparisons import Comparison, get_comparison
from backtests.selectors.figures import write_time
from backtests.selectors.folds import Paths, Walk, get_paths, get_walk
from backtests.selectors.outside import Outside, get_outside
from backtests.selectors.progress import DAY_SECONDS, Progress, get_progress, is_study
from backtests.selectors.verdicts import Verdict
from crowetrade_site.core.drawings import Drawing

MOST_GIVEN_UP = 20


@dataclass(frozen=True)
class Study:
    """The content of a study's page and report.

    Attributes
    ----------
    outside : Outside or None
        What its folds did out of sample, which comes before everything else.
    claim : str
        "best of 4,186 trials", of a study with folds "in sample, best of ...": stands wherever a
        figure of the best does; empty if there is none.
    sheet_title, sheet_claim : str
        The same of the account below: the best trial, or what a walk-forward did out of sample.
    headline, ledger : str
        The same as a sentence, and how many trials were ever made.
    objectives : list of str
        As the spec states them, the one that ranks first.
    columns : list of dict
        Of the searched parameters, with a short name; empty where they are too many for columns.
    verdict, doubt : str
        What the tests against cash decide, and why the choice of the best does not carry over.
    leaders : list of dict
        Rank, number, values and parameters, as text.
    """

    run: Run
    progress: Progress
    outside: Outside | None
    claim: str
    sheet_title: str
    sheet_claim: str
    headline: str
    ledger: str
    objectives: list[str]
    is_maximized: bool
    best: dict[str, Any] | None
    best_spec: str
    columns: list[dict[str, str]]
    leaders: list[dict[str, Any]]
    surface: Drawing | None
    surface_note: str
    distribution: Drawing | None
    reasons: list[dict[str, Any]]
    given_up: list[dict[str, Any]]
    n_given_up: int
    statistics: list[dict[str, Any]]
    verdict: str
    doubt: str
    is_accepted: bool | None
    over_benchmark: Verdict | None
    benchmark_note: str
    leading: selection.Leading | None
    walk: Walk | None
    paths: Paths | None
    comparison: Comparison | None
    effort: str

    @property
    def best_so_far(self) -> str:
        """What stands beside the best while the study runs."""
        said = f"best of {claims.write_trials(self.progress.n_done)} so far"
        return claims.in_sample(self.run, said)

    @property
    def shown_claim(self) -> str:
        """What stands beside the best, over or not; empty where there is none."""
        return self.claim or (self.best_so_far if self.best else "")


def get_study(run: Run) -> Study | None:
    """Return what there is to see of a study, over or not; None for a single backtest."""
    if not is_study(run):
        return None
    kept: Mapping[str, Any] = run.summary.get("study") or {}
    progress = get_progress(run)
    goals = leaders.objectives_of(run)
    found = kept.get("leaders") or []
    best = found[0] if found else None
    n_given_up = progress.chunks[ChunkStatus.QUARANTINED]
    judged = kept.get("selection") or {}
    columns = leaders.columns_of(found)
    objective = goals[0][0]
    over_benchmark = verdicts.of_best(kept)
    return Study(
        run=run,
        progress=progress,
        outside=get_outside(run),
        claim=claims.best_of(run),
        sheet_title=claims.title_of_sheet(run, best),
        sheet_claim=claims.claim_of(run),
        headline=claims.headline_of(run, best),
        ledger=claims.ledger_of(kept),
        objectives=[leaders.write_goal(text, direction) for text, direction in goals],
        is_maximized=bool(kept.get("is_maximized", goals[0][1])),
        best=leaders.describe_best(run, best, objective)
        if best
        else leaders.running_best(run, goals[0]),
        best_spec=leaders.spec_of(run, best),
        columns=columns,
        leaders=[
            leaders.row_of(run, at, leader, goals, columns)
            for at, leader in enumerate(found, start=1)
        ],
        surface=pictures.draw_surface(run, kept, best),
        surface_note=pictures.note_of_surface(run, kept),
        distribution=pictures.draw_distribution(run, kept, best, judged),
        reasons=_reasons(kept),
        given_up=_given_up(run) if n_given_up else [],
        n_given_up=n_given_up,
        statistics=selection.list_statistics(judged),
        verdict=selection.verdict_of(judged, is_alone=over_benchmark is None),
        doubt=selection.doubt_of(judged),
        is_accepted=judged.get("is_accepted"),
        over_benchmark=over_benchmark,
        benchmark_note=verdicts.note_of(run),
        leading=selection.get_leading(kept),
        walk=get_walk(run, objective),
        paths=get_paths(run, objective),
        comparison=get_comparison(run),
        effort=_effort(run, progress),
    )


def _reasons(kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return why trials are infeasible, the reasons that are not kept in one row."""
    rows = [(row["reason"], row["n_trials"]) for row in kept.get("reasons") or []]
    n_others = kept.get("n_infeasible", 0) - sum(n for _, n in rows)
    rows += [("Other reasons", n_others)] if n_others > 0 else []
    return [{"reason": reason, "n_trials": n, "text": f"{n:,}"} for reason, n in rows]


def _given_up(run: Run) -> list[dict[str, Any]]:
    lost = run.chunks.filter(status=ChunkStatus.QUARANTINED).order_by("first")
    return [
        {
            "trials": str(chunk),
            "attempt": chunk.attempt,
            "worker": chunk.worker,
            "title": (chunk.problem or {}).get("title", ""),
            "detail": (chunk.problem or {}).get("detail", ""),
        }
        for chunk in lost.defer("parameters", "summary")[:MOST_GIVEN_UP]
    ]


def _effort(run: Run, progress: Progress) -> str:
    """Return what the study took."""
    if run.status not in RUNS.terminal or not progress.n_done:
        return ""
    said = f"{claims.write_trials(progress.n_done)} in {_time(progress.elapsed_seconds)}"
    if progress.n_reused:
        said += f", {progress.n_reused:,} of them taken over from earlier studies"
    if progress.busy_seconds:
        said += f"; {_time(progress.busy_seconds)} of workers' time"
    if progress.rate:
        said += f", {progress.pace_text}"
    return f"{said}."


def _time(seconds: float) -> str:
    return write_time(seconds / DAY_SECONDS)
