"""What a chunk of a study computes: which trials, how many of them, and their rows."""

import io
import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from django.conf import settings

from backtests import selectors
from backtests.jobs import ledger, rows, trials
from backtests.jobs.lease import Lease
from backtests.lifecycle import ChunkStatus
from backtests.models import Chunk, Run
from backtests.runspec import search_of, with_search
from backtests.search import Search, Trial
from crowetrade_site.core import canonical, provenance, storage
from crowetrade_site.core.errors import Corrupted, NotFound

logger = logging.getLogger(__name__)

MOST_TRIALS = 5_000
FEWEST_CHUNKS = 16  # of a study that is large enough
# Of the rows of a chunk, read again but once: numbers of trials seldom repeat.
STORED: dict[str, Any] = {
    "compression": "lz4", "use_dictionary": ["reason"], "write_statistics": False,
    "store_schema": False,
}  # fmt: skip
N_LAST = 4  # chunks at the end of a study that are planned in quarters
LEAST_SECONDS = 0.25  # below it, messages and rows would cost more than the work


def size_of_chunks(n_trials: int, n_cells: int) -> int:
    """Return the trials of a chunk: seconds of work, but enough chunks to keep workers busy."""
    each = selectors.seconds_of_trial(n_cells)
    size = max(-(-n_trials // FEWEST_CHUNKS), int(LEAST_SECONDS / each))
    return max(1, min(int(settings.CHUNK_SECONDS / each), size, MOST_TRIALS))


def plan(run: Run, bench: trials.Bench, n_trials: int) -> None:
    """Write the chunks of a study whose trials are known by their numbers.

    Nothing is worked out of any trial here: whoever computes a chunk names what is in it. The last
    chunks are smaller, so that workers end at about the same time.
    """
    n_cells = bench.bars.n_bars * bench.bars.n_assets
    size = size_of_chunks(n_trials, n_cells)
    small = max(1, size // 4, int(LEAST_SECONDS / selectors.seconds_of_trial(n_cells)))
    whole = n_trials // size - (N_LAST if small < size else 0)
    if whole < N_LAST:
        whole = n_trials // size
    firsts = [*range(0, whole * size, size), *range(whole * size, n_trials, min(small, size))]
    ends = [*firsts[1:], n_trials]
    _write(
        Chunk(run=run, first=first, n_trials=end - first)
        for first, end in zip(firsts, ends, strict=True)
    )


def plan_generation(run: Run, bench: trials.Bench, asked: Sequence[Trial], generation: int) -> None:
    """Write the chunks of trials that depend on the results of others."""
    size = size_of_chunks(len(asked), bench.bars.n_bars * bench.bars.n_assets)
    block = ledger.size_of_block(search_for(run).n_trials)
    size = -(-size // block) * block  # no block of the ledger lies in two chunks
    _write(
        Chunk(
            run=run, generation=generation, first=part[0].number, n_trials=len(part),
            parameters=_stored(part),
        )
        for part in _parts(asked, size)
    )  # fmt: skip


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


def _write(planned: Iterable[Chunk]) -> None:
    """Write chunks; those already there stay."""
    queued = list(planned)
    for chunk in queued:
        chunk.status = ChunkStatus.QUEUED
    Chunk.objects.bulk_create(queued, ignore_conflicts=True, batch_size=1000)


def search_for(run: Run, *, n_folds: int = 0) -> Search:
    """Return the search of a study, told nothing; that of trials known by number is shared.

    A grid with conditions has to be walked through once, which is not done again for every chunk.
    With folds a method that learns has a search of its own in each of them; to judge the trials of
    a chunk one without folds is enough.
    """
    document = search_of(run.spec)
    shared = _planned(canonical.encode(document))
    return shared if shared.is_indexed else selectors.plan_search(document, n_folds=n_folds)


@lru_cache(maxsize=2)
def _planned(document: str) -> Search:
    return selectors.plan_search(json.loads(document))


def compute(chunk: Chunk, lease: Lease) -> dict[str, Any]:
    """Return the columns of a chunk that is done; one computed before is taken over."""
    bench = trials.Bench.of(chunk.run)
    found = search_for(chunk.run)
    asked = trials_of(chunk, found)
    parameters = canonical.digest([trial.parameters for trial in asked])
    blocks = _blocks_of(chunk, bench, found, asked)
    ledger.record(chunk.run, ledger.scope_of(bench.market), blocks, chunk.worker)
    content = _name(chunk.run, found, asked, parameters)
    same = Chunk.objects.readable().filter(content=content).first()
    if same is not None and _is_whole(same.artifact):
        return {
            "content": content, "artifact": same.artifact, "summary": same.summary,
            "is_reused": True,
        }  # fmt: skip
    began = time.perf_counter()
    table = bench.evaluate(found, asked, lease)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **STORED)
    return {
        "content": content,
        "artifact": storage.put(buffer.getvalue()),
        "summary": _summary(table, found),
        "seconds": round(time.perf_counter() - began, 6),
    }


def _blocks_of(
    chunk: Chunk, bench: trials.Bench, found: Search, asked: Sequence[Trial]
) -> Iterator[ledger.Block]:
    """Return what the ledger counts of a chunk."""
    if chunk.parameters is None:
        return ledger.blocks_touched(found, chunk.first, chunk.n_trials)
    fold = asked[0].fold
    ranges = () if fold is None else bench.folds[fold].train_ranges
    training = [(bars.start, bars.stop) for bars in ranges]
    return ledger.blocks_within(asked, ledger.size_of_block(found.n_trials), training)


def _is_whole(artifact: str) -> bool:
    """Return whether the rows of a chunk are there as they were written; else they are worth none.

    Whoever computes them again writes the same bytes, and so mends them for everybody.
    """
    try:
        storage.locate(artifact)
    except (NotFound, Corrupted) as error:
        logger.warning("The rows of a chunk are lost", extra={"detail": error.detail})
        return False
    return True


def _name(run: Run, found: Search, asked: Sequence[Trial], parameters: str) -> str:
    """Return the name of what a chunk computes: code, spec, parameters and what they are for."""
    goals = {name: search_of(run.spec).get(name) for name in ("objective", "constraints")}
    named: dict[str, Any] = {
        "code": provenance.code_digest(), "spec": with_search(run.spec, goals),
        "parameters": parameters, "budgets": [trial.budget for trial in asked],
        "axes": rows.axes_of(found),
    }  # fmt: skip
    if asked[0].fold is not None:
        named["fold"] = asked[0].fold
    if run.reproduces is not None:
        named["computed_for"] = str(run.public_id)  # what was computed before proves nothing
    return canonical.digest(named)


def _summary(table: pa.Table, found: Search) -> dict[str, Any]:
    """Return what the page shows of a chunk while its study runs."""
    values = table["objective_0"].to_numpy()
    feasible = np.flatnonzero(~np.isnan(values) & (table["violation"].to_numpy() == 0.0))
    best = None
    if feasible.size:
        pick = np.argmax if found.goals.maximized[0] else np.argmin
        at = int(feasible[pick(values[feasible])])
        best = {
            "value": float(values[at]),
            "unit": trials.unit_of(found.objectives[0].text),
            "parameters": table["parameters"][at].as_py(),
        }
    return {"n_infeasible": int(values.size - feasible.size), "best": best}


def budget_of(chunk: Chunk) -> float:
    """Return the share of the time that each trial of a chunk has: all of them have the same."""
    return 1.0 if chunk.parameters is None else float(chunk.parameters[0]["budget"])


def trials_of(chunk: Chunk, found: Search) -> list[Trial]:
    """Return the trials of a chunk."""
    numbers = range(chunk.first, chunk.first + chunk.n_trials)
    if chunk.parameters is None:
        return [found.trial(number) for number in numbers]
    return [Trial(number, **one) for number, one in zip(numbers, chunk.parameters, strict=True)]
