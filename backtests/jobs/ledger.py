"""The ledger of trials: what the platform evaluated, counted once, whatever it was called."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone

from backtests.jobs.market import Market
from backtests.models import LedgerScope, Run, TrialBatch
from backtests.runspec import as_backtest
from backtests.search import Search, Trial
from crowetrade_site.core import canonical, provenance

MOST_BLOCKS = 4096  # that the trials of one search are counted in, as long as they stay small
LARGEST_BLOCK = 1024  # trials, which each chunk in a block names anew


class Block(NamedTuple):
    """Trials that are counted together, however they were spread over chunks.

    Attributes
    ----------
    trials : sequence of Trial
        All of them have the same budget, and the same fold.
    training : sequence of (int, int)
        The bars that the fold trains on, from and to; empty where no fold judges them alone.
    """

    trials: Sequence[Trial]
    training: Sequence[tuple[int, int]] = ()


def size_of_block(n_trials: int) -> int:
    """Return how many trials of a search are counted as one: a power of two, 1 of up to 4,096.

    At most 1,024. It follows from the search alone, so the same search counts the same, whatever
    its chunks.
    """
    size = 1 << max(0, -(-n_trials // MOST_BLOCKS) - 1).bit_length()
    return min(size, LARGEST_BLOCK)


def blocks_touched(found: Search, first: int, n_trials: int) -> Iterator[Block]:
    """Yield the blocks of a search that some of its trials lie in, whole.

    Blocks begin at multiples of their size. Only for searches whose trials are known by number.
    """
    size = size_of_block(found.n_trials)
    for begin in range(first - first % size, first + n_trials, size):
        end = min(begin + size, found.n_trials)
        yield Block([found.trial(number) for number in range(begin, end)])


def blocks_within(
    asked: Sequence[Trial], size: int, training: Sequence[tuple[int, int]]
) -> Iterator[Block]:
    """Yield the blocks of a chunk that begins where a block does, and holds whole ones."""
    for begin in range(0, len(asked), size):
        yield Block(asked[begin : begin + size], training)


def scope_of(market: Market) -> LedgerScope:
    """Return what trials on a market are counted under: its instruments and its time."""
    symbols = sorted(market.panel.symbols)
    first, last = int(market.panel.ts[market.start]), int(market.panel.ts[-1])
    digest = canonical.digest({"symbols": symbols, "first": first, "last": last})
    scope, _ = LedgerScope.objects.get_or_create(
        digest=digest,
        defaults={"symbols": symbols, "first_at": _moment(first), "last_at": _moment(last)},
    )
    return scope


def family_of(document: Mapping[str, Any]) -> str:
    """Return the name of what a run's trials have in common: their strategy without its numbers.

    Notes
    -----
    What a search changes is mostly numbers, so that studies and backtests which differ in those
    alone, in the spec or in what is searched, are of one family. The family of a comparison is that
    of all its strategies together; where whole sections are searched it is that of the spec's own.
    """
    compared = (document.get("comparison") or {}).get("strategies")
    if compared is None:
        return canonical.digest({"family": _shape(document["strategy"])})
    shapes = sorted(canonical.digest(_shape(one)) for one in compared.values())
    return canonical.digest({"families": shapes})


def _shape(part: Any) -> Any:
    """Return a part of a strategy with a blank for each number, and for null: it stands for one."""
    if isinstance(part, Mapping):
        return {name: _shape(inner) for name, inner in part.items()}
    if isinstance(part, list | tuple):
        return [_shape(inner) for inner in part]
    is_number = isinstance(part, int | float) and not isinstance(part, bool)
    return "" if part is None or is_number else part


def record(run: Run, scope: LedgerScope, blocks: Iterable[Block], worker: str) -> None:
    """Count some trials of a run; those that were counted before are not counted again.

    Notes
    -----
    A block is named by data, spec, parameters, budget and the fold's training, not by the code, the
    run or its chunks, so that running the same again is no new trial. It is counted when a worker
    begins it: what was looked at counts, even if the worker is lost.
    """
    spec, family, at = canonical.digest(as_backtest(run.spec)), family_of(run.spec), timezone.now()
    counted = [
        TrialBatch(
            digest=_name(spec, block), scope=scope, family=family,
            n_trials=len(block.trials), run=run, code_digest=provenance.code_digest(),
            worker=worker, recorded_at=at,
        )
        for block in blocks
    ]  # fmt: skip
    # in one order, so that two workers that count the same do not wait for each other
    counted.sort(key=lambda batch: batch.digest)
    TrialBatch.objects.bulk_create(counted, ignore_conflicts=True)


def _name(spec: str, block: Block) -> str:
    parameters = canonical.digest([trial.parameters for trial in block.trials])
    named = {"spec": spec, "parameters": parameters, "budget": block.trials[0].budget}
    return canonical.digest(named | {"training": [list(bars) for bars in block.training]})


def _moment(stamp_ns: int) -> datetime:
    return datetime.fromtimestamp(int(np.int64(stamp_ns) // 1000) / 1e6, UTC)
