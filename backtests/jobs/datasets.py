"""Handing a dataset's arrays to computations."""

from collections.abc import Sequence

from django.conf import settings

from backtests.marketdata.manifest import Manifest
from backtests.marketdata.panel import Panel, PanelCache
from backtests.marketdata.quotes import open_quotes
from backtests.models import Dataset
from crowetrade_site.core import storage

_panels = PanelCache(settings.DATASET_CACHE_BYTES)


def open_dataset(dataset: Dataset, symbols: Sequence[str] | None = None) -> Panel:
    """Return a dataset's arrays, those of some instruments or of all.

    Bars are memory-mapped, verified when first opened by this process. Quotes are put on one
    clock, in memory.
    """
    manifest = Manifest.from_json(dataset.manifest)
    if manifest.kind == "quotes":
        most = settings.DATASET_CACHE_BYTES
        return open_quotes(manifest, storage.locate, symbols, max_bytes=most)
    panel = _panels.get(manifest, storage.locate)
    return panel.select(symbols) if symbols else panel
