"""What a chunk of a study computes: which trials, how many of them, and their rows."""

import io
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings

from backtests import selectors
from backtests.jobs import ledger, trials
from backtests.jobs.lease import Lease
from backtests.lifecycle import ChunkStatus
from backtests.models import Chunk, Run
from backtests.runspec import search_of, with_search
from backtests.search import Search, Trial
from crowetrade_site.core import canonical, provenance, storage

MOST_TRIALS = 5_000
FEWEST_CHUNKS = 16  # of a study that is large enough
LEAST_SECONDS = 0.25  # below it, messages and rows would cost more than the work


def size_of_chunks(n_trials: int, n_cells: int) -> int:
    """Return the trials of a chunk: seconds of work, but enough chunks to keep workers busy."""
    each = selectors.seconds_of_trial(n_cells)
    size = max(-(-n_trials // FEWEST_CHUNKS), int(LEAST_SECONDS / each))
    return max(1, min(int(settings.CHUNK_SECONDS / each), size, MOST_TRIALS))


def plan(
    run: Run, bench: trials.Bench, found: Search, asked: Sequence[Trial], generation: int
) -> None:
    """Write the chunks of some trials; those already there stay."""
    size = size_of_chunks(len(asked), bench.bars.n_bars * bench.bars.n_assets)
    goals = {name: search_of(run.spec).get(name) for name in ("objective", "constraints")}
    spec = with_search(run.spec, goals)
    base = {"code": provenance.code_digest(), "spec": spec}
    if run.reproduces is not None:
        base["computed_for"] = str(run.public_id)  # what was computed before proves nothing
    rows = []
    for part in _parts(asked, size):
        parameters = [trial.parameters for trial in part]
        budgets = [trial.budget for trial in part]
        named = base | {"parameters": parameters, "budgets": budgets}
        if part[0].fold is not None:
            named["fold"] = part[0].fold
        content = canonical.digest(named)
        rows.append(
            Chunk(
                run=run, generation=generation, first=part[0].number, n_trials=len(part),
                parameters=None if found.is_indexed else _stored(part), content=content,
                status=ChunkStatus.QUEUED,
            )
        )  # fmt: skip
    Chunk.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def _parts(asked: Sequence[Trial], size: int) -> Iterator[Sequence[Trial]]:
    """Yield the trials of each chunk: at most so many, all of one fold where folds search apart."""
    for _, group in groupby(asked, key=lambda trial: trial.fold):
        trials_of_fold = list(group)
        for begin in range(0, len(trials_of_fold), size):
            yield trials_of_fold[begin : begin + size]


def _stored(part: Sequence[Trial]) -> list[dict[str, Any]]:
    kept = [{"parameters": trial.parameters, "budget": trial.budget} for trial in part]
    if part[0].fold is None:
        return kept
    return [one | {"fold": trial.fold} for one, trial in zip(kept, part, strict=True)]


def compute(chunk: Chunk, lease: Lease) -> dict[str, Any]:
    """Return the columns of a chunk that is done; one computed before is taken over."""
    bench = trials.Bench.of(chunk.run)
    found = selectors.plan_search(search_of(chunk.run.spec))
    asked = trials_of(chunk, found)
    scope = ledger.scope_of(bench.market)
    ledger.record(chunk.run, scope, [trial.parameters for trial in asked], chunk.worker)
    same = Chunk.objects.readable().filter(content=chunk.content).first()
    if same is not None and storage.exists(same.artifact):
        return {"artifact": same.artifact, "summary": same.summary, "is_reused": True}
    began = time.perf_counter()
    table = bench.evaluate(found, asked, lease)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False)
    return {
        "artifact": storage.put(buffer.getvalue()),
        "summary": _summary(table, found),
        "seconds": round(time.perf_counter() - began, 6),
    }


def _summary(table: pa.Table, found: Search) -> dict[str, Any]:
    """Return what the page shows of a chunk while its study runs."""
    values = table["objective_0"].to_pylist()
    violation = table["violation"].to_pylist()
    feasible = [
        (value, at) for at, value in enumerate(values) if value is not None and violation[at] == 0.0
    ]
    pick = max if found.goals.maximized[0] else min
    best = pick(feasible, default=None, key=lambda pair: pair[0])
    return {
        "n_infeasible": len(values) - len(feasible),
        "best": None
        if best is None
        else {
            "value": best[0],
            "unit": trials.unit_of(found.objectives[0].text),
            "parameters": table["parameters"][best[1]].as_py(),
        },
    }


def trials_of(chunk: Chunk, found: Search) -> list[Trial]:
    """Return the trials of a chunk."""
    numbers = range(chunk.first, chunk.first + chunk.n_trials)
    if chunk.parameters is None:
        return [found.trial(number) for number in numbers]
    return [Trial(number, **one) for number, one in zip(numbers, chunk.parameters, strict=True)]
