"""Installations that live for a module, or for one test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.installation import Installation
from tests.faults.studying import SMALL_CHUNKS, write_minutes

SPEC = """
dataset: {dataset}
costs: {{commission_bps: 1, half_spread_bps: 1}}
strategy:
  signals: [{{kind: moving_average_cross, fast_bars: 2, slow_bars: 5}}]
  portfolio: {{kind: equal_weight, rebalance: {{kind: on_change}}}}
"""


def furnish(site: Installation, *, n_bars: int, n_assets: int) -> Path:
    """Give an installation a dataset and return a spec of a run on it."""
    prices = write_minutes(site.home / "prices.parquet", n_bars=n_bars, n_assets=n_assets)
    stated = ["--kind", "bars", "--layout", "wide", "--bar", "1m", "--stamp", "start"]
    site.manage("import_bars", str(prices), "--dataset", "minutes", "--currency", "USD", *stated)
    spec = site.home / "spec.yaml"
    spec.write_text(SPEC.format(dataset="minutes"))
    return spec


@pytest.fixture
def site() -> Iterator[Installation]:
    """An empty installation for one test."""
    made = Installation()
    yield made
    made.close()


@pytest.fixture(scope="module")
def busy() -> Iterator[tuple[Installation, Path, str]]:
    """An installation at work: itself, the spec of a long run, the digest it must give."""
    made = Installation()
    try:
        spec = furnish(made, n_bars=600_000, n_assets=4)
        made.start_all()
        run = made.await_end(made.queue(spec))
        assert run["status"] == "succeeded", run["problem"]
        yield made, spec, run["result_digest"]
    finally:
        made.close()


@pytest.fixture(scope="module")
def install() -> Iterator[Callable[..., Installation]]:
    """Return what makes installations whose studies have many small chunks."""
    with ExitStack() as made:

        def make(**more: str) -> Installation:
            site = Installation()
            made.callback(site.close)
            site.environment |= SMALL_CHUNKS | more
            return site

        yield make
