"""Importing files as dataset versions."""

import logging
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from backtests.jobs.lease import LeaseLost
from backtests.lifecycle import DatasetStatus
from backtests.marketdata.arrays import file_digest
from backtests.marketdata.errors import DatasetRefused, MarketDataError, OptionsError
from backtests.marketdata.importer import ImportOutcome, import_file
from backtests.marketdata.manifest import IMPORTER_VERSION
from backtests.marketdata.options import ImportOptions
from backtests.marketdata.periods import periods_per_year
from backtests.models import Dataset
from crowetrade_site.core import audit, roles, storage
from crowetrade_site.core.errors import Conflict, InvalidInput

logger = logging.getLogger(__name__)
LEFT_FOR_SECONDS = 86_400.0
Progress = Callable[[float, str], None]
MOST_RACES = 20


def import_file_as(
    *,
    path: Path,
    name: str,
    options: ImportOptions,
    actor: User,
    on_progress: Progress | None = None,
) -> tuple[Dataset, bool]:
    """Import a local file as the next version of a dataset; False when that version stands.

    Nothing is written before the whole file has passed its checks.

    Raises
    ------
    Forbidden
        The actor may not import.
    InvalidInput
        The file is refused: the top finding in one sentence, every error in ``errors``, the report
        in ``report``.
    """
    roles.require(actor, "datasets:write")
    if known := _known_source(name, path, options):
        return known, False
    columns = _imported(path, options, on_progress)
    standing = _standing(name, columns["digest"])
    if standing:
        return standing, False
    fresh = Dataset(name=name, imported_by=actor, source_name=path.name, options=options.to_json())
    return _register(fresh, columns), True


def import_into(dataset: Dataset, path: Path, *, on_progress: Progress | None = None) -> Dataset:
    """Import a file into a row that waits for it.

    Raises
    ------
    InvalidInput
        The file is refused, or the same data stands under this name.
    LeaseLost
        Another attempt has the row; nothing was written.
    """
    columns = _imported(path, ImportOptions.from_mapping(dataset.options), on_progress)
    standing = _standing(dataset.name, columns["digest"]) or _register(dataset, columns)
    if standing.pk != dataset.pk:
        text = f"The same data stands already, as {standing}."
        raise InvalidInput(text, errors=[{"path": "file", "message": text}])
    return standing


def workroom() -> Path:
    """Return the folder in which imports are prepared, rid of what killed ones left a day ago."""
    room: Path = settings.HOME_DIR / "work"
    room.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in room.iterdir():
        if time.time() - left.stat().st_mtime > LEFT_FOR_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    return room


def _imported(path: Path, options: ImportOptions, on_progress: Progress | None) -> dict[str, Any]:
    with TemporaryDirectory(prefix="import-", dir=workroom()) as folder:
        return _stored(_checked(path, options, Path(folder), on_progress))


def _checked(
    path: Path, options: ImportOptions, workdir: Path, on_progress: Progress | None
) -> ImportOutcome:
    try:
        return import_file(path, options, workdir, on_progress=on_progress)
    except DatasetRefused as refusal:
        report = refusal.report
        raise InvalidInput(
            str(refusal), errors=report.faults(), report=report.to_json()
        ) from refusal
    except MarketDataError as error:
        where = "options" if isinstance(error, OptionsError) else "file"
        raise InvalidInput(str(error), errors=[{"path": where, "message": str(error)}]) from error


def _stored(outcome: ImportOutcome) -> dict[str, Any]:
    """Put every file of an import into the store and return the row's columns."""
    for name, path in outcome.files.items():
        if storage.put(path) != outcome.manifest.files[name]:
            raise InvalidInput(f"{path.name} changed while it was being stored; import it again.")
    quarantine = storage.put(outcome.quarantined) if outcome.quarantined else ""
    manifest, report = outcome.manifest, outcome.report
    return {
        "kind": manifest.kind,
        "digest": manifest.digest,
        "manifest": manifest.to_json(),
        "report": report.to_json(),
        "quarantine_artifact": quarantine,
        "currency": manifest.currency,
        "periods_per_year": periods_per_year(manifest),
        "n_rows": report.n_accepted,
        "n_refused": report.n_refused,
        "n_instruments": len(manifest.symbols),
        "first_at": _moment(manifest.first),
        "last_at": _moment(manifest.last),
    }


def _moment(stamp_ns: int) -> datetime | None:
    if not stamp_ns:
        return None
    return datetime.fromtimestamp(stamp_ns // 10**9, UTC).replace(
        microsecond=stamp_ns % 10**9 // 1000
    )


def _known_source(name: str, path: Path, options: ImportOptions) -> Dataset | None:
    """Return the version that was made of these very bytes with these options, if any."""
    source = {
        "sha256": file_digest(path),
        "options": options.to_json(),
        "importer": IMPORTER_VERSION,
    }
    return Dataset.objects.ready().filter(name=name, manifest__source__contains=source).first()


def _standing(name: str, digest: str) -> Dataset | None:
    return Dataset.objects.filter(name=name, digest=digest).first()


def _register(dataset: Dataset, columns: dict[str, Any]) -> Dataset:
    """Give a dataset its version number and make it ready, with one audit event.

    Two imports that race for a number meet at the unique constraint; the loser counts again.
    """
    for name, value in columns.items():
        setattr(dataset, name, value)
    before = dataset.status or None
    dataset.status = DatasetStatus.READY
    for _ in range(MOST_RACES):
        latest = Dataset.objects.filter(name=dataset.name).aggregate(n=Max("version"))["n"] or 0
        dataset.version = latest + 1
        try:
            with transaction.atomic():
                _require_held(dataset)
                dataset.save()
                audit.record(
                    "backtests.dataset.imported",
                    dataset,
                    actor=dataset.imported_by,
                    at=timezone.now(),
                    before={"status": before} if before else {},
                    after={
                        "status": dataset.status,
                        "version": dataset.version,
                        "digest": dataset.digest,
                        "n_rows": dataset.n_rows,
                        "n_refused": dataset.n_refused,
                    },
                )
        except IntegrityError:
            standing = _standing(dataset.name, dataset.digest)
            if standing:
                return standing
        else:
            return dataset
    raise Conflict(f"{MOST_RACES} other imports of {dataset.name} were first; import it again.")


def _require_held(dataset: Dataset) -> None:
    """Lock a row that waits for an import; it must still be this attempt's."""
    if dataset.attempt == 0:  # no upload: the row is only being made
        return
    mine = Dataset.objects.filter(
        pk=dataset.pk, status=DatasetStatus.IMPORTING, attempt=dataset.attempt
    )
    if mine.select_for_update().first() is None:
        raise LeaseLost
