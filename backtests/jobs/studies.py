"""Studies: planned in generations, computed in chunks, put together when the last one is there.

A study is a run whose work is done by many tasks. Its own attempts are short: the first plans the
chunks of a generation and lets the run wait for them; whoever ends the last chunk queues the run
again; the next attempt plans the next generation, or puts the rows together. Everything that an
attempt needs is in the database and in the store, so any worker can go on with it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtests import search, selectors
from backtests.jobs import backtest, comparing, evaluation, excess, leading, rows, trials, walking
from backtests.jobs.collecting import Collected
from backtests.jobs.lease import Lease
from backtests.lifecycle import ChunkStatus
from backtests.models import Chunk, Run
from backtests.runspec import RunSpec, search_of
from backtests.search import FoldedSearch, Result, Search, SearchError
from crowetrade_site.core import canonical, pieces, storage
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
        found = evaluation.search_for(run, n_folds=len(bench.folds))
        selectors.require_folds(
            search_of(run.spec), len(bench.folds), found.n_trials, is_apart=not found.is_indexed
        )
        is_waiting = _plan(run, bench, found)
    if is_waiting:
        Run.objects.filter(pk=run.pk).update(progress_total=found.n_trials)
        return None
    return _conclude(run, bench, found, lease)


def _is_given_up(run: Run) -> bool:
    """Whether a chunk is lost for good, so that no further generation can be chosen."""
    return run.chunks.filter(status=ChunkStatus.QUARANTINED).exists()


def _plan(run: Run, bench: trials.Bench, found: Search) -> bool:
    """Write the chunks of the next generation; return whether there is one to wait for.

    An attempt that was lost after it had planned leaves chunks that nobody has computed.
    """
    if run.chunks.unfinished().exists():
        return True
    if found.is_indexed:
        if run.chunks.exists():
            return False
        evaluation.plan(run, bench, found.n_trials)
        return True
    for chunk in _done(run):
        found.tell(_results(chunk, found))
    asked = [] if _is_given_up(run) else found.ask()
    if asked:
        generation = run.chunks.values("generation").distinct().count()
        evaluation.plan_generation(run, bench, asked, generation)
    return bool(asked)


def _done(run: Run) -> Iterable[Chunk]:
    """Return the chunks that are done in the order of their trials."""
    done: Iterable[Chunk] = run.chunks.done().order_by("first")
    return done


def _results(chunk: Chunk, found: Search) -> list[Result]:
    """Return what a method that learns is told of the trials of a chunk.

    Where folds search apart that is what the trainings of their own folds said.
    """
    is_folded = isinstance(found, FoldedSearch)
    asked, prefix = evaluation.trials_of(chunk, found), "told_" if is_folded else "objective_"
    judged = ("told_violation", "told_reason") if is_folded else ("violation", "reason")
    objectives = [f"{prefix}{at}" for at in range(len(found.objectives))]
    names = [*objectives, *judged, "reason"]
    table = pq.read_table(storage.locate(chunk.artifact), columns=list(dict.fromkeys(names)))
    columns = [table[name].to_pylist() for name in names]
    return [
        Result(
            trial.number, trial.parameters, None if None in values else tuple(values),
            violation or 0.0, failure if reason is None else reason, trial.budget,
        )
        for trial, *values, violation, reason, failure in zip(asked, *columns, strict=True)
    ]  # fmt: skip


def _conclude(run: Run, bench: trials.Bench, found: Search, lease: Lease) -> dict[str, Any]:
    """Put the rows together, run the best again with everything kept, and say what it is worth."""
    lease.phase("putting together")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trials.parquet"
        collected = _collect(run, bench, found, path, lease)
        artifacts: dict[str, Any] = {"trials.parquet": _put(path)}
    lease.phase("judging")
    columns: dict[str, Any] = {
        "summary": {"study": collected.summary(run, bench)},
        "result_digest": collected.digest,
        "progress_done": collected.n_trials,
        "progress_total": found.n_trials,
    }
    if collected.best is not None or collected.has_choices:
        lease.phase("running the best")
        shown, more = _shown(run, bench, found, collected, lease)
        artifacts |= shown["artifacts"]
        columns["summary"]["study"] |= more
        columns["summary"] |= shown["summary"]
        parts = {"trials": collected.digest, "shown": shown["result_digest"], **more}
        columns["result_digest"] = canonical.digest(parts)
        columns["summary"]["study"] |= _judged(
            bench, found, collected, columns["summary"]["study"], shown["artifacts"], lease
        )  # no part of the digest: it knows of other studies
    return columns | {"artifacts": artifacts} | _problem(run)


def _judged(
    bench: trials.Bench, found: Search, collected: Collected, kept: Mapping[str, Any],
    shown: Mapping[str, Any], lease: Lease,
) -> dict[str, Any]:  # fmt: skip
    """Return what tests on whole accounts say, run again, among all trials that were ever made."""
    n_counted = max(kept["ledger"]["n_on_this_data"], collected.n_trials)
    judged: dict[str, Any] = {"excess": excess.judge(bench, collected, shown, n_counted)}
    if bench.spec.search is not None:
        lease.phase("judging the leaders")
        judged["leading"] = leading.judge(bench, found, collected, n_counted, lease)
    return judged


def _put(path: Path) -> dict[str, Any]:
    """Store the table of trials, and the digests of its pieces: pages of it are read alone."""
    entry = {"digest": storage.put(path), "pieces": pieces.put_list(path)}
    return entry | {"bytes": path.stat().st_size}


def _shown(
    run: Run, bench: trials.Bench, found: Search, collected: Collected, lease: Lease
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the account that the page shows, and what the folds add to the study's summary.

    Of a walk-forward that is the account out of sample; else the best trial, in sample. There is
    none where a cross-validation has choices, but no trial that is feasible in all of the time.
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
    if collected.best is None:
        return {"artifacts": {}, "summary": {}, "result_digest": ""}, more
    spec = RunSpec.model_validate(search.apply(bench.document, collected.best.parameters))
    return backtest.outcome_of(run, spec, bench.market, lease), more


def _collect(run: Run, bench: trials.Bench, found: Search, path: Path, lease: Lease) -> Collected:
    """Write one table of all trials, chunk after chunk, and return what is kept in memory."""
    chunks = list(_done(run))
    n_folds = len(bench.folds)
    collected = Collected(found, sum(chunk.n_trials for chunk in chunks), n_folds)
    is_folded = isinstance(found, FoldedSearch)
    columns = rows.schema(len(found.objectives), n_folds, is_folded=is_folded)
    whole = columns.insert(0, pa.field("number", pa.int64()))
    with (  # one chunk is read and one written while this thread looks at a third
        pq.ParquetWriter(path, whole, **evaluation.STORED | {"compression": "zstd"}) as writer,
        ThreadPoolExecutor(max_workers=1) as reader,
        ThreadPoolExecutor(max_workers=1) as hand,
    ):
        for chunk, table in zip(chunks, _ahead(reader, chunks), strict=True):
            lease.progress(collected.n_trials, found.n_trials)
            written = hand.submit(writer.write_table, table.select(whole.names))
            is_whole = evaluation.budget_of(chunk) == 1.0
            collected.take(table, columns.names, is_whole=is_whole)
            written.result()
    return collected


def _ahead(reader: ThreadPoolExecutor, chunks: Sequence[Chunk]) -> Iterator[pa.Table]:
    """Yield the rows of each chunk while those of the next are read."""
    coming: deque[Future[pa.Table]] = deque()
    for chunk in chunks:
        coming.append(reader.submit(_rows_of, chunk))
        if len(coming) > 1:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _rows_of(chunk: Chunk) -> pa.Table:
    """Return the rows of a chunk with the numbers of their trials."""
    table = pq.read_table(storage.locate(chunk.artifact), use_threads=False)
    numbers = np.arange(chunk.first, chunk.first + chunk.n_trials)
    return table.append_column("number", pa.array(numbers, pa.int64()))


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
