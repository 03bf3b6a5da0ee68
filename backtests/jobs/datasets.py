"""Handing a dataset's arrays to computations."""

from django.conf import settings

from backtests.marketdata.manifest import Manifest
from backtests.marketdata.panel import Panel, PanelCache
from backtests.models import Dataset
from crowetrade_site.core import storage

_panels = PanelCache(settings.DATASET_CACHE_BYTES)


def open_dataset(dataset: Dataset) -> Panel:
    """Return a dataset's arrays, memory-mapped, verified when first opened by this process."""
    return _panels.get(Manifest.from_json(dataset.manifest), storage.locate)
