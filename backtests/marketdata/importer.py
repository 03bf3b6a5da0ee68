"""Importing one file: the only door of this package that writes."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backtests.marketdata.arrays import file_digest
from backtests.marketdata.bars import import_bars
from backtests.marketdata.columns import Matcher
from backtests.marketdata.errors import DatasetRefused
from backtests.marketdata.findings import Ledger, QualityReport
from backtests.marketdata.manifest import IMPORTER_VERSION, Manifest
from backtests.marketdata.options import ImportOptions
from backtests.marketdata.product import Job, Product, Progress
from backtests.marketdata.quarantine import FILE_NAME, write_quarantine
from backtests.marketdata.readers import open_source
from backtests.marketdata.reference import import_reference
from backtests.marketdata.ticks import import_ticks

PIPELINES = {
    "bars": import_bars,
    "quotes": import_ticks,
    "trades": import_ticks,
    "reference": import_reference,
}


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import left in its folder.

    Attributes
    ----------
    manifest : Manifest
    report : QualityReport
    files : dict of name to Path
        The arrays (or the table), to be stored under ``manifest.files[name]``, their SHA-256.
    quarantined : Path or None
        The refused rows, where there are any.
    digest : str
        Names the data.
    """

    manifest: Manifest
    report: QualityReport
    files: dict[str, Path]
    quarantined: Path | None

    @property
    def digest(self) -> str:
        """The dataset digest."""
        return self.manifest.digest


def _silent(_fraction: float, _step: str) -> None:
    """Report nothing."""


def import_file(
    path: Path, options: ImportOptions, workdir: Path, on_progress: Progress | None = None
) -> ImportOutcome:
    """Read, check and convert one file.

    Parameters
    ----------
    path : Path
        CSV (also gzip), Parquet or Arrow IPC, recognized by content.
    options : ImportOptions
        What the user states about it.
    workdir : Path
        Existing folder; receives the arrays, ``manifest.json``, ``quality.json`` and, where rows
        were refused, ``quarantined.parquet``. After any failure it holds nothing of ours.
    on_progress : callable, optional
        Called with the part done in [0, 1] and the step's name; may raise to cancel.

    Returns
    -------
    ImportOutcome

    Raises
    ------
    DatasetRefused
        The file has errors; carries the report.
    OptionsError
        The options contradict each other or name something unknown.
    UnreadableFileError
        The file is absent, truncated or of another format.

    Notes
    -----
    Memory does not grow with the rows of bars and ticks: rows stream through a spill on disk
    (about ``8 * (fields + 3)`` bytes each, in `workdir`), and only the distinct stamps and one
    stretch of the panel are held.
    """
    progress = on_progress or _silent
    scratch = Path(tempfile.mkdtemp(prefix=".incoming-", dir=workdir))
    try:
        ledger = Ledger(path.name, options.accept)
        source = open_source(path, options)
        ledger.report.unit = source.unit
        if not source.names:
            raise ledger.refusal("empty_file", "The file is empty; check the export.")
        schema = Matcher(source.names, source.types, options, ledger).schema()
        job = Job(source, schema, options, ledger, scratch, options.symbol or _stem(path), progress)
        with warnings.catch_warnings():
            # All-missing stretches are ordinary in market data; they are counted, not warned of.
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            product = PIPELINES[schema.kind](job)
        report = ledger.settle()
        quarantined = _quarantine(job)
        manifest = _manifest(job, product, report)
        outcome = _publish(workdir, manifest, report, product, quarantined)
        progress(1.0, "done")
        return outcome
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def inspect_file(path: Path, options: ImportOptions, workdir: Path) -> QualityReport:
    """Return the quality report of a file without keeping anything of it.

    Raises
    ------
    OptionsError, UnreadableFileError
        As `import_file`; a refusal is no error here but the report asked for.
    """
    with tempfile.TemporaryDirectory(prefix=".inspect-", dir=workdir) as folder:
        try:
            return import_file(path, replace(options, quarantine=True), Path(folder)).report
        except DatasetRefused as refusal:
            return refusal.report


def _stem(path: Path) -> str:
    return path.name.split(".", 1)[0]


def _quarantine(job: Job) -> Path | None:
    path = job.scratch / FILE_NAME
    count = write_quarantine(job.source, job.schema, job.ledger, job.options.batch_rows, path)
    return path if count else None


def _manifest(job: Job, product: Product, report: QualityReport) -> Manifest:
    options, path = job.options, job.source.path
    return Manifest(
        kind=job.schema.kind,
        series=_series(job),
        symbols=product.symbols,
        fields=product.fields,
        first=product.first,
        last=product.last,
        n_rows=product.n_rows,
        n_observations=product.n_observations,
        currency=product.currency or options.currency,
        calendar=options.calendar or "",
        prices=options.stored_prices,
        bar_ns=product.bar_ns,
        actions=product.actions,
        source=_origin(path, options, report),
        files={name: file_digest(stored) for name, stored in product.files.items()},
    )


def _origin(path: Path, options: ImportOptions, report: QualityReport) -> dict[str, Any]:
    return {
        "name": path.name,
        "sha256": file_digest(path),
        "bytes": path.stat().st_size,
        "rows": report.n_source_rows,
        "options": options.to_json(),
        "importer": IMPORTER_VERSION,
    }


def _series(job: Job) -> str:
    if job.schema.kind != "reference":
        return ""
    if job.options.series:
        return job.options.series
    names = {name.strip().lower() for name in job.source.names}
    if {"kind", "value", "symbol"} <= names:
        return "actions"
    return "sectors" if "sector" in names else "levels"


def _publish(
    workdir: Path,
    manifest: Manifest,
    report: QualityReport,
    product: Product,
    quarantined: Path | None,
) -> ImportOutcome:
    """Move everything into place at the end, so that a failure leaves nothing half-made."""
    files = {name: stored.replace(workdir / name) for name, stored in product.files.items()}
    kept = None if quarantined is None else quarantined.replace(workdir / quarantined.name)
    document = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
    (workdir / "quality.json").write_text(document + "\n", encoding="utf-8")
    (workdir / "manifest.json").write_bytes(manifest.to_bytes())
    return ImportOutcome(manifest, report, files, kept)
