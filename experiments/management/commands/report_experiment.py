"""`manage.py report_experiment NAME --out FILE.html`: write an experiment's report."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from crowetrade_site.core.commands import DomainCommand
from experiments import selectors


class Command(DomainCommand):
    help = "Write an experiment's report: one HTML file that opens without a network."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE.html")

    def handle(self, *args: Any, **options: Any) -> None:
        html = selectors.render_report(selectors.find_experiment(options["experiment"]))
        self.write(html, options["out"])
