"""`manage.py size_experiment PLAN.yaml`: how long a plan takes, and what it can show."""

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crowetrade_site.core import documents
from crowetrade_site.core.commands import DomainCommand
from experiments import selectors, services
from experiments.plans.sizing import size_of


class Command(DomainCommand):
    help = "Say how long a plan takes and what it can show, by its assumptions; nothing is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plan", type=Path, help="YAML or JSON file")

    def handle(self, *args: Any, **options: Any) -> None:
        plan = services.parse_plan(documents.read(options["plan"]))
        sizing, shown = size_of(plan), selectors.detectability(plan)
        self.answer({"sizing": sizing and asdict(sizing), "detectability": shown and asdict(shown)})
        nothing = "Nothing can be said: the plan has no assumptions."
        self.say(selectors.what_it_shows(plan) or nothing)
