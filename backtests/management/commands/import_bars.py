"""`manage.py import_bars FILE --dataset NAME`: import a file as the next version of a dataset."""

from argparse import ArgumentParser, BooleanOptionalAction
from pathlib import Path
from typing import Any

from backtests import selectors
from backtests.models import Dataset
from crowetrade_site.core import storage
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import InvalidInput, NotFound

PLAIN = {
    "kind": "auto, bars, quotes, trades or reference",
    "layout": "auto, long (a row per instrument and moment) or wide (a column per instrument)",
    "stamp": "start, end, day or period_start: what the time column marks",
    "bar": "bar length, such as 1m, 1h, 1d",
    "timezone": "IANA zone of naive clock times, such as America/New_York",
    "calendar": "exchange calendar (XNYS, …), 24/7 or fx: gaps are looked for against it",
    "currency": "currency of the prices, such as USD",
    "symbol": "instrument of a file that names none",
    "symbol-column": "column that names the instrument",
    "price": "field a wide table holds: open, high, low, close, adj_close or volume",
    "prices": "raw, split (adjusted for splits) or adjusted (also for dividends)",
    "adjust-by": "adj_close: turn prices into adjusted ones by that column's factor",
    "series": "of a reference: rates, factors, actions, sectors or levels",
    "start": "first moment kept",
    "end": "last moment kept",
    "time-format": "strptime format of the time column, where it is not ISO 8601",
    "time-unit": "unit of integer stamps: s, ms, us or ns",
    "delimiter": "field delimiter of a CSV file",
    "lag": "publication delay of a reference series, such as 1d",
}


def pairs(option: str, given: list[str]) -> dict[str, str]:
    """Return repeated ``name=value`` arguments as a mapping."""
    for text in given:
        if "=" not in text:
            raise InvalidInput(f"--{option} {text!r} is not of the form NAME=VALUE.")
    return dict(text.split("=", 1) for text in given)


class Command(DomainCommand):
    help = (
        "Import CSV, CSV.gz or Parquet market data; bad rows refuse the file unless --quarantine."
    )
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dataset", required=True, metavar="NAME")
        for name, text in PLAIN.items():
            parser.add_argument(f"--{name}", help=text)
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="CANONICAL=SOURCE",
            help="name a column the file calls otherwise; repeatable",
        )
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="COLUMN=TEXT",
            help="keep only rows where a column has this text; repeatable",
        )
        parser.add_argument(
            "--accept",
            action="append",
            default=[],
            metavar="CODE",
            help="take an error you know of as a warning; repeatable",
        )
        parser.add_argument(
            "--quarantine",
            action=BooleanOptionalAction,
            default=False,
            help="set faulty rows apart, kept and counted, instead of refusing",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        if not path.is_file():
            raise NotFound(f"There is no file {path}.")
        stated = {
            name.replace("-", "_"): options[name.replace("-", "_")]
            for name in PLAIN
            if options[name.replace("-", "_")] is not None
        }
        stated |= {
            "columns": pairs("column", options["column"]),
            "where": pairs("where", options["where"]),
            "accept": options["accept"],
            "quarantine": options["quarantine"],
        }
        checked = selectors.check_import(options["dataset"], stated)
        actor = self.actor(options)

        from backtests.jobs.imports import import_file_as
        from backtests.marketdata.options import ImportOptions

        dataset, fresh = import_file_as(
            path=path,
            name=options["dataset"],
            options=ImportOptions.from_mapping(checked),
            actor=actor,
        )
        self.report(dataset, fresh=fresh)

    def report(self, dataset: Dataset, *, fresh: bool) -> None:
        """Say what stands now and what the checks had to remark."""
        self.answer(
            {
                "id": dataset.public_id,
                "name": dataset.name,
                "version": dataset.version,
                "digest": dataset.digest,
                "imported": fresh,
                "kind": dataset.kind,
                "n_rows": dataset.n_rows,
                "n_refused": dataset.n_refused,
                "n_instruments": dataset.n_instruments,
                "first_at": dataset.first_at,
                "last_at": dataset.last_at,
                "report": dataset.report,
            }
        )
        how = "imported" if fresh else "stands already (the same data)"
        self.say(
            f"{dataset} {how}: {dataset.kind}, {dataset.n_instruments} instruments, "
            f"{dataset.n_rows} rows, {dataset.n_refused} refused, "
            f"{dataset.first_at:%Y-%m-%d} to {dataset.last_at:%Y-%m-%d}."
            if dataset.first_at and dataset.last_at
            else f"{dataset} {how}: {dataset.kind}, {dataset.n_rows} rows."
        )
        self.say(f"sha256:{dataset.digest}")
        if dataset.quarantine_artifact:
            kept = storage.locate(dataset.quarantine_artifact)
            self.say(f"The {dataset.n_refused} rows set apart, with reasons (Parquet): {kept}")
        for finding in dataset.report.get("findings", []):
            self.say(f"  {selectors.describe_finding(finding)}")
