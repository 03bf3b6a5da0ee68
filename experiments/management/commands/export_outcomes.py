"""`manage.py export_outcomes NAME --out FILE`: outcomes, or exposures, as they came."""

from argparse import ArgumentParser
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import InvalidInput
from experiments import selectors, services
from experiments.selectors.exports import Asked


class Command(DomainCommand):
    help = "Write an experiment's outcomes, or its exposures, into a file as they are kept."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument(
            "--out", type=Path, required=True, metavar="FILE", help=".csv or .arrow (IPC stream)"
        )
        parser.add_argument("--exposures", action="store_true", help="units and their arms instead")
        parser.add_argument(
            "--metric", action="append", default=[], help="again for each; all by default"
        )
        parser.add_argument("--since", help="outcomes at or after: ISO 8601 with its zone")
        parser.add_argument("--until", help="outcomes before")
        parser.add_argument("--reason", default="", help="for whom, for what")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["exposures"] and options["metric"]:
            raise InvalidInput("--metric is of outcomes; exposures have none.")
        asked = Asked(
            tuple(options["metric"]), moment(options, "since"), moment(options, "until")
        )  # fmt: skip
        export = services.export_rows(
            experiment_id=selectors.find_experiment(options["experiment"]).public_id,
            table="exposures" if options["exposures"] else "outcomes",
            kind=options["out"].suffix.removeprefix("."), asked=asked, actor=self.actor(options),
            at=timezone.now(), reason=self.reason(options),
        )  # fmt: skip
        n_bytes = write(export, options["out"])
        self.answer({"file": str(options["out"].resolve()), "bytes": n_bytes})
        self.say(f"{options['out']} ({n_bytes / 1024:,.0f} kB)")


def write(export: services.Export, out: Path) -> int:
    """Write an export whole or not at all; return its size.

    Raises
    ------
    InvalidInput
        The file cannot be written.
    """
    temporary = out.with_name(f".{out.name}.part")
    try:
        with temporary.open("wb") as file:
            n_bytes = sum(file.write(piece) for piece in export.pieces)
        temporary.replace(out)
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return n_bytes


def moment(options: dict[str, Any], name: str) -> datetime | None:
    """Return a moment of the command line.

    Raises
    ------
    InvalidInput
        It is none, or has no zone.
    """
    text = options[name]
    if text is None:
        return None
    with suppress(ValueError):
        at = parse_datetime(text)
        if at is not None and at.tzinfo is not None:
            return at
    raise InvalidInput(f"--{name} {text!r} is no moment; write 2026-01-05T00:00:00Z.")
