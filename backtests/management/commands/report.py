"""`manage.py report RUN_ID --out FILE.html`: write a run's report."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from backtests import selectors
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Write a run's report: one HTML file that opens without a network."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run_id", help="a run's id, or the beginning of one")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE.html")

    def handle(self, *args: Any, **options: Any) -> None:
        html = selectors.render_report(selectors.find_run(options["run_id"]))
        self.write(html, options["out"])
