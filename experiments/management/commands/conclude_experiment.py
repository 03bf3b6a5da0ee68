"""`manage.py conclude_experiment NAME --verdict winner --winner ARM --reason "…"`: end it."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from experiments import selectors, services
from experiments.models.definitions import ANSWERS
from experiments.plans import Verdict


class Command(DomainCommand):
    help = "End an experiment with an answer, by a person; the last analysis stays beside it."
    acts = True
    needs_broker = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument("--verdict", choices=[one.value for one in ANSWERS], required=True)
        parser.add_argument("--winner", default="", metavar="ARM", help="of the verdict winner")
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = services.conclude_experiment(
            experiment_id=selectors.find_experiment(options["experiment"]).public_id,
            verdict=Verdict(options["verdict"]),
            winner=options["winner"],
            actor=self.actor(options),
            reason=self.reason(options, is_demanded=True),
            at=timezone.now(),
        )
        self.answer(
            {
                "id": experiment.public_id,
                "name": experiment.name,
                "status": experiment.status,
                "verdict": experiment.verdict,
                "winner": experiment.winner,
            }
        )
        won = f", {experiment.winner}" if experiment.winner else ""
        self.say(f"{experiment} is {experiment.status}: {experiment.verdict}{won}.")
