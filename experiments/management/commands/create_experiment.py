"""`manage.py create_experiment PLAN.yaml`: keep a plan as a draft."""

from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.utils import timezone

from crowetrade_site.core import documents
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.services import CONSOLE
from experiments import selectors, services
from experiments.plans.sizing import size_of


class Command(DomainCommand):
    help = "Keep an experiment's plan as a draft; start_experiment freezes it and begins."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("plan", type=Path, help="YAML or JSON file")

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = services.create_experiment(
            document=documents.read(options["plan"]),
            actor=self.actor(options),
            at=timezone.now(),
        )
        plan = selectors.plan_of(experiment)
        sizing, shown = size_of(plan), selectors.detectability(plan)
        notes = selectors.plan_notes(experiment, plan)
        self.answer(
            {
                "id": experiment.public_id,
                "name": experiment.name,
                "status": experiment.status,
                "owner": experiment.owner.get_username(),
                "sizing": sizing and asdict(sizing),
                "detectability": shown and asdict(shown),
                "notes": notes,
            }
        )
        owner = experiment.owner.get_username()
        hint = "; --actor NAME makes it somebody's" if owner == CONSOLE else ""
        self.say(f"{experiment} is a draft, {experiment.public_id}, owned by {owner}{hint}.")
        if said := selectors.what_it_shows(plan):
            self.say(said)
        for note in notes:
            self.say(note)
        self.say(f"Start it: manage.py start_experiment {experiment}")
