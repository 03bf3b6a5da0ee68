"""Questions about datasets."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug

from backtests.lifecycle import DatasetStatus
from backtests.marketdata.errors import MarketDataError
from backtests.marketdata.options import ImportOptions
from backtests.models import Dataset
from backtests.querysets import DatasetQuerySet
from crowetrade_site.core.errors import InvalidInput, NotFound, translating


def list_datasets() -> DatasetQuerySet:
    """Return every dataset version."""
    return Dataset.objects.select_related("imported_by")


def get_dataset(dataset_id: UUID) -> Dataset:
    """Return a dataset version.

    Raises
    ------
    NotFound
        There is none of this id (404).
    """
    dataset = list_datasets().filter(public_id=dataset_id).first()
    if dataset is None:
        raise NotFound(f"There is no dataset {dataset_id}.")
    return dataset


def resolve_dataset(reference: str) -> Dataset:
    """Return the dataset version a spec means: `name` (its latest ready one) or `name@sha256:…`.

    Raises
    ------
    NotFound
        There is none; the nearest names are given (404).
    InvalidInput
        That version has been taken out of use (422).
    """
    name, _, pin = reference.partition("@")
    versions = Dataset.objects.filter(name=name).exclude(digest="")
    if pin:
        dataset = versions.filter(digest__startswith=pin.removeprefix("sha256:")).first()
    else:
        dataset = versions.ready().newest_first().first()
    if dataset is None:
        raise NotFound(f"There is no dataset {reference!r}{_nearest_dataset(name)}.")
    if dataset.status != DatasetStatus.READY:
        raise InvalidInput(f"Dataset {dataset} is {dataset.status}; pick another version.")
    return dataset


def _nearest_dataset(name: str) -> str:
    names = sorted(set(Dataset.objects.ready().values_list("name", flat=True)))
    if not names:
        return "; import one with: manage.py import_bars FILE --dataset NAME"
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(names[:10])}"


@dataclass(frozen=True)
class Benchmark:
    """One series of a dataset, to measure against."""

    dataset: Dataset
    symbol: str

    @property
    def reference(self) -> str:
        """How a stored spec names it."""
        return f"{self.dataset.name}/{self.symbol}@sha256:{self.dataset.digest}"


def resolve_benchmark(reference: str) -> Benchmark:
    """Return the series a spec measures against: `dataset`, or `dataset/SYMBOL`.

    Raises
    ------
    NotFound
        There is no such dataset (404).
    InvalidInput
        The dataset holds several series and none is named, or not the one named (422).
    """
    path, _, pin = reference.partition("@")
    name, _, symbol = path.partition("/")
    dataset = resolve_dataset(f"{name}@{pin}" if pin else name)
    symbols = symbols_of(dataset)
    if not symbol and len(symbols) == 1:
        symbol = symbols[0]
    if symbol not in symbols:
        wanted = f"no {symbol!r}" if symbol else "several series"
        raise InvalidInput(
            f"Dataset {name} has {wanted}; write benchmark: {name}/SYMBOL with one of "
            f"{', '.join(symbols[:10])}."
        )
    return Benchmark(dataset, symbol)


def symbols_of(dataset: Dataset) -> list[str]:
    """Return the instruments or series a dataset holds."""
    return list(dataset.manifest.get("content", {}).get("symbols", []))


def check_import(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return import options with defaults, after checking them and the dataset's name.

    Raises
    ------
    InvalidInput
        The name is not a slug, or an option is wrong (422).
    """
    try:
        validate_slug(name)
    except ValidationError:
        raise InvalidInput(
            f"{name!r} is no dataset name: use letters, digits, '-' and '_', at most 80."
        ) from None
    with translating(MarketDataError, InvalidInput):
        return ImportOptions.from_mapping(options).to_json()
