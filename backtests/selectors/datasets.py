"""Questions about datasets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from backtests.lifecycle import DatasetStatus
from backtests.models import Dataset
from backtests.querysets import DatasetQuerySet
from crowetrade_site.core import hints
from crowetrade_site.core.errors import InvalidInput, NotFound

DIGEST_START = re.compile(r"[0-9a-f]{8,64}")


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
        That version has been taken out of use, or the digest is none, or stands for several
        versions (422).
    """
    name, is_pinned, pin = reference.partition("@")
    versions = Dataset.objects.filter(name=name).exclude(digest="")
    if is_pinned:
        dataset = _pinned(versions, reference, pin)
    else:
        dataset = versions.ready().newest_first().first()
    if dataset is None and not is_pinned:
        dataset = versions.newest_first().first()  # out of use, all of them: say so below
    if dataset is None:
        raise NotFound(f"There is no dataset {reference!r}{_nearest_dataset(name)}")
    if dataset.status != DatasetStatus.READY:
        raise InvalidInput(
            f"Dataset {dataset} is {dataset.status}; release it in the admin, or import "
            "a new version."
        )
    return dataset


def _pinned(versions: DatasetQuerySet, reference: str, pin: str) -> Dataset | None:
    """Return the one version whose digest begins like this."""
    digest = pin.removeprefix("sha256:")
    if not DIGEST_START.fullmatch(digest):
        raise InvalidInput(
            f"{reference!r} pins no version: write name@sha256: and at least 8 hexadecimal "
            "digits of its digest."
        )
    found = list(versions.filter(digest__startswith=digest)[:2])
    if len(found) > 1:
        raise InvalidInput(f"{reference!r} stands for several versions; write more digits.")
    return found[0] if found else None


def _nearest_dataset(name: str) -> str:
    names = set(Dataset.objects.ready().values_list("name", flat=True))
    if not names:
        return "; import one with: manage.py import_bars FILE --dataset NAME"
    return hints.nearest(name, names)


@dataclass(frozen=True)
class Benchmark:
    """One series of a dataset, to measure against or to know a market's state by."""

    dataset: Dataset
    symbol: str

    @property
    def reference(self) -> str:
        """How a stored spec names it."""
        return f"{self.dataset.name}/{self.symbol}@sha256:{self.dataset.digest}"


def resolve_benchmark(reference: str, purpose: str = "a benchmark") -> Benchmark:
    """Return the series a spec measures against: `dataset`, or `dataset/SYMBOL`.

    `purpose` is said where the dataset does not serve it.

    Raises
    ------
    NotFound
        There is no such dataset (404).
    InvalidInput
        The dataset holds no bars, or several series and none is named, or not the one
        named (422).
    """
    path, _, pin = reference.partition("@")
    name, _, symbol = path.partition("/")
    dataset = resolve_dataset(f"{name}@{pin}" if pin else name)
    symbols = symbols_of(dataset)
    if dataset.kind != "bars":
        raise InvalidInput(f"Dataset {dataset} holds {dataset.kind}; {purpose} needs bars.")
    if not symbol and len(symbols) == 1:
        symbol = symbols[0]
    if symbol not in symbols:
        wanted = f"no series {symbol!r}" if symbol else "several series, name one as dataset/SYMBOL"
        raise InvalidInput(f"Dataset {name} has {wanted}{hints.nearest(symbol, symbols)}")
    return Benchmark(dataset, symbol)


def symbols_of(dataset: Dataset) -> list[str]:
    """Return the instruments or series a dataset holds."""
    return list(dataset.manifest.get("content", {}).get("symbols", []))


def describe_finding(finding: Mapping[str, Any], *, error: str = "set apart") -> str:
    """Return a finding of a quality report in a line: what, where, how often and since when.

    The day is that of the source's own label; files and findings of no row have none. `error` is
    said of errors: of a file that was imported their rows were set apart.
    """
    where = f"{finding['code']} {finding['symbol']}".strip()
    grade = error if finding["severity"] == "error" else finding["severity"]
    often = f"{finding['count']:,}"
    if (first := finding.get("first_ns")) is not None:
        day = datetime.fromtimestamp(first // 10**9, UTC).date().isoformat()
        often += f", first {day}" if finding["count"] > 1 else f", {day}"
    return f"{grade}: {where} ({often}): {finding['sentence']}"
