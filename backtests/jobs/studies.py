"""Studies: planned in generations, computed in chunks, put together when the last one is there.

A study is a run whose work is done by many tasks. Its own attempts are short: the first plans the
chunks of a generation and lets the run wait for them; whoever ends the last chunk queues the run
again; the next attempt plans the next generation, or puts the rows together. Everything that an
attempt needs is in the database and in the store, so any worker can go on with it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from backtests import search, selectors
from backtests.jobs import backtest, comparing, evaluation, leading, trials, walking
from backtests.jobs.collecting import Collected
from backtests.jobs.lease import Lease
from backtests.lifecycle import ChunkStatus
from backtests.models import Run
from backtests.runspec import RunSpec, search_of
from backtests.search import FoldedSearch, Result, Search, SearchError, Trial
from crowetrade_site.core import canonical, storage
from crowetrade_site.core.errors import DomainError, InvalidInput, translating


class StudyIncomplete(DomainError):
    """Some chunks of a study were given up; what the others found is kept."""

    slug, status, title = "study-incomplete", 500, "A part of the study could not be computed"


def advance(run: Run, lease: Lease) -> dict[str, Any] | None:
    """Plan what comes next and return None, or return the columns of the finished study.

    Raises
    ------
    InvalidInput
        Data, spec and search do not go together.
    """
    lease.phase("planning")
    bench = trials.Bench.of(run)
    with translating((SearchError,), InvalidInput):
        found = selectors.plan_search(search_of(run.spec), n_folds=len(bench.folds))
        asked = _next(run, found)
    if asked:
        generation = run.chunks.values("generation").distinct().count()
        evaluation.plan(run, bench, found, asked, generation)
        Run.objects.filter(pk=run.pk).update(progress_total=found.n_trials)
        return None
    return _conclude(run, bench, found, lease)


def _is_given_up(run: Run) -> bool:
    """Whether a chunk is lost for good, so that no further generation can be chosen."""
    return run.chunks.filter(status=ChunkStatus.QUARANTINED).exists()


def _next(run: Run, found: Search) -> list[Trial]:
    """Return the trials of the next generation; none when all are there, or one is lost."""
    if found.is_indexed:
        missing = not run.chunks.exists()
        return [found.trial(number) for number in range(found.n_trials)] if missing else []
    for table, results in told(run, found):
        found.tell(_trainings(table, results) if isinstance(found, FoldedSearch) else results)
    return [] if _is_given_up(run) else found.ask()


def told(run: Run, found: Search) -> Iterator[tuple[pa.Table, list[Result]]]:
    """Yield the rows of each chunk that is done, in the order of its trials, and their results."""
    for chunk in run.chunks.done().order_by("first"):
        table = pq.read_table(storage.locate(chunk.artifact))
        yield table, _results(evaluation.trials_of(chunk, found), table, len(found.objectives))


def _results(asked: list[Trial], table: pa.Table, n_objectives: int) -> list[Result]:
    columns = [table[f"objective_{at}"].to_pylist() for at in range(n_objectives)]
    judged: Any = zip(
        zip(*columns, strict=True), table["violation"].to_pylist(), table["reason"].to_pylist(),
        strict=True,
    )  # fmt: skip
    return [
        Result(
            trial.number, trial.parameters, None if None in values else values, violation, reason,
            trial.budget,
        )
        for trial, (values, violation, reason) in zip(asked, judged, strict=True)
    ]  # fmt: skip


def _trainings(table: pa.Table, results: list[Result]) -> list[Result]:
    """Return what the trainings of their own folds said of some trials."""
    n_objectives = sum(name.startswith("told_") for name in table.column_names) - 2
    columns = [table[f"told_{at}"].to_pylist() for at in range(n_objectives)]
    judged: Any = zip(
        zip(*columns, strict=True), table["told_violation"].to_pylist(),
        table["told_reason"].to_pylist(), strict=True,
    )  # fmt: skip
    return [
        replace(
            result,
            values=None if None in values else values,
            violation=violation or 0.0,
            reason=result.reason if reason is None else reason,
        )
        for result, (values, violation, reason) in zip(results, judged, strict=True)
    ]


def _conclude(run: Run, bench: trials.Bench, found: Search, lease: Lease) -> dict[str, Any]:
    """Put the rows together, run the best again with everything kept, and say what it is worth."""
    lease.phase("putting together")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trials.parquet"
        collected = _collect(run, bench, found, path, lease)
        artifacts = {"trials.parquet": {"digest": storage.put(path), "bytes": path.stat().st_size}}
    lease.phase("judging")
    columns: dict[str, Any] = {
        "summary": {"study": collected.summary(run, bench)},
        "result_digest": collected.digest,
        "progress_done": collected.n_trials,
        "progress_total": found.n_trials,
    }
    if collected.best is not None or (bench.spec.walk_forward and collected.has_choices):
        lease.phase("running the best")
        shown, more = _shown(run, bench, found, collected, lease)
        artifacts |= shown["artifacts"]
        columns["summary"]["study"] |= more
        columns["summary"] |= shown["summary"]
        parts = {"trials": collected.digest, "shown": shown["result_digest"], **more}
        columns["result_digest"] = canonical.digest(parts)
        if bench.spec.search is not None:  # no part of the digest: it knows of other studies
            lease.phase("judging the leaders")
            kept = columns["summary"]["study"]
            n_counted = max(kept["ledger"]["n_on_this_data"], collected.n_trials)
            kept["leading"] = leading.judge(bench, found, collected, n_counted, lease)
    return columns | {"artifacts": artifacts} | _problem(run)


def _shown(
    run: Run, bench: trials.Bench, found: Search, collected: Collected, lease: Lease
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the account that the page shows, and what the folds add to the study's summary.

    Of a walk-forward that is the account out of sample; else the best trial, in sample.
    """
    choices = collected.choices() if bench.folds else []
    parameters = [found.trial(choice.trial).parameters for choice in choices]
    more: dict[str, Any] = {}
    if choices:
        more["walk"] = walking.summary_of_walk(bench, found, choices, parameters)
    if choices and bench.spec.walk_forward is not None:
        return walking.walk(run, bench, choices, parameters, lease), more
    if choices:
        more["paths"] = walking.paths(bench, choices, parameters, lease)
    if bench.spec.comparison is not None:
        more["comparison"] = comparing.compare(bench, found, lease)
    assert collected.best is not None  # noqa: S101 - asked for where there is one
    spec = RunSpec.model_validate(search.apply(bench.document, collected.best.parameters))
    return backtest.outcome_of(run, spec, bench.market, lease), more


def _collect(run: Run, bench: trials.Bench, found: Search, path: Path, lease: Lease) -> Collected:
    """Write one table of all trials, chunk after chunk, and return what is kept in memory."""
    n_folds = len(bench.folds)
    collected = Collected(found, n_folds)
    columns = trials.schema(
        len(found.objectives), n_folds, is_folded=isinstance(found, FoldedSearch)
    ).insert(0, pa.field("number", pa.int64()))
    with pq.ParquetWriter(path, columns, compression="zstd", store_schema=False) as writer:
        for table, results in told(run, found):
            lease.progress(collected.n_trials, found.n_trials)
            collected.take(table, results)
            numbers = pa.array([result.number for result in results], pa.int64())
            writer.write_table(table.add_column(0, columns.field(0), numbers))
    return collected


def _problem(run: Run) -> dict[str, Any]:
    """Return what a study says whose chunks were given up in part."""
    lost = list(run.chunks.filter(status=ChunkStatus.QUARANTINED).order_by("first"))
    if not lost:
        return {}
    problem = lost[0].problem or {}
    incomplete = StudyIncomplete(
        f"{len(lost)} of {run.chunks.count()} chunks were given up, the first of them {lost[0]}: "
        f"{problem.get('detail', '')} What the others found is kept."
    )
    return {"problem": incomplete.problem()}
