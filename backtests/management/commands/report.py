"""`manage.py report RUN_ID --out FILE.html`: write a run's report."""

from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from backtests import selectors
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import InvalidInput


class Command(DomainCommand):
    help = "Write a run's report: one HTML file that opens without a network."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run_id", help="a run's id, or the beginning of one")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE.html")

    def handle(self, *args: Any, **options: Any) -> None:
        html = selectors.render_report(selectors.find_run(options["run_id"]))
        out: Path = options["out"]
        temporary = out.with_name(f".{out.name}.part")
        try:
            temporary.write_text(html)
            temporary.replace(out)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise InvalidInput(f"{out} cannot be written: {error.strerror}.") from None
        self.answer({"report": str(out.resolve()), "bytes": out.stat().st_size})
        self.say(f"{out} ({out.stat().st_size / 1024:.0f} kB)")
