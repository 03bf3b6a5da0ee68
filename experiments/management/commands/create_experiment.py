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
        shown, notes = selectors.detectability(plan), selectors.plan_notes(experiment, plan)
        self.answer(
            {
                "id": experiment.public_id,
                "name": experiment.name,
                "status": experiment.status,
                "owner": experiment.owner.get_username(),
                "detectability": shown and asdict(shown),
                "notes": notes,
            }
        )
        owner = experiment.owner.get_username()
        hint = "; --actor NAME makes it somebody's" if owner == CONSOLE else ""
        self.say(f"{experiment} is a draft, {experiment.public_id}, owned by {owner}{hint}.")
        if shown:
            self.say(shown.sentence)
        for note in notes:
            self.say(note)
        self.say(f"Start it: manage.py start_experiment {experiment}")
