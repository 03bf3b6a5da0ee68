"""`manage.py import_bars FILE --dataset NAME`: import a file as the next version of a dataset."""

import re
from argparse import ArgumentParser, BooleanOptionalAction
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

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
MOST_ERRORS = 100  # in the terminal; --json has all
_OPTION = "|".join(name.replace("-", "_") for name in PLAIN) + "|accept"
# What refusals say to whoever writes a document, and how the command line has it.
FLAGS = [
    (re.compile(r"in columns: (\S+) = its name there"), r"with --column \1=NAME"),
    (re.compile(rf"\b({_OPTION})(?:: |=)(?=['\w])"), r"--\1 "),
    (re.compile(r"\b(state|in) (kind|stamp|bar|timezone)\b(?! \w)"), r"\1 --\2"),
    (re.compile(r"\bwith quarantine\b"), "with --quarantine"),
]


def with_flags(text: str) -> str:
    """Return advice about options as the command line spells them."""
    for pattern, flag in FLAGS:
        text = pattern.sub(flag, text)
    return re.sub(r"--[a-z_]+", lambda found: found[0].replace("_", "-"), text)


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
        actor = self.actor(options)
        try:
            dataset, fresh = self.imported(path, options["dataset"], stated, actor)
        except InvalidInput as refusal:
            self.tell_errors(refusal.extensions.get("report", {}).get("findings", []))
            for fault in refusal.extensions.get("errors", ()):
                fault["message"] = with_flags(fault["message"])
            raise InvalidInput(with_flags(refusal.detail), **refusal.extensions) from refusal
        self.report(dataset, fresh=fresh)

    def imported(
        self, path: Path, name: str, stated: dict[str, Any], actor: User
    ) -> tuple[Dataset, bool]:
        """Import the file, or find it imported."""
        checked = selectors.check_import(name, stated)

        from backtests.jobs.imports import import_file_as
        from backtests.marketdata.options import ImportOptions

        return import_file_as(
            path=path, name=name, options=ImportOptions.from_mapping(checked), actor=actor
        )

    def tell_errors(self, findings: list[dict[str, Any]]) -> None:
        """Print every error of a refused file, where the last line has room for one alone."""
        errors = [finding for finding in findings if finding["severity"] == "error"]
        if self.as_json or len(errors) < 2:
            return
        for finding in errors[:MOST_ERRORS]:
            told = selectors.describe_finding(finding, error="error")
            self.stderr.write(f"  {with_flags(told)}")
        if len(errors) > MOST_ERRORS:
            self.stderr.write(f"  {len(errors) - MOST_ERRORS:,} more: --json has them all")

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
            self.say(f"  {with_flags(selectors.describe_finding(finding))}")
