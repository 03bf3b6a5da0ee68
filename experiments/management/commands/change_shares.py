"""`manage.py change_shares NAME champion=0.3 challenger=0.7 --reason "…"`: other shares."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.services import console_reason
from experiments import selectors, services
from experiments.management.shares import shares_of


class Command(DomainCommand):
    help = "Give the arms of an experiment other shares; who met an arm before stays with it."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument("shares", nargs="+", metavar="ARM=SHARE", help="of every arm")
        parser.add_argument("--context", default="", help="whose shares, where the plan has some")
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = selectors.find_experiment(options["experiment"])
        made = services.reallocate(
            experiment_id=experiment.public_id,
            weights=shares_of(options["shares"]),
            context=options["context"],
            actor=self.actor(options),
            reason=console_reason(options["reason"]),
            at=timezone.now(),
        )
        names = [arm.name for arm in sorted(experiment.arms.all(), key=lambda arm: arm.position)]
        weights = dict(zip(names, made.weights, strict=True))
        self.answer(
            {
                "id": experiment.public_id,
                "name": experiment.name,
                "allocation": made.number,
                "context": made.context or None,
                "weights": weights,
            }
        )
        where = f" where {made.context}" if made.context else ""
        told = ", ".join(f"{name} {share:.4g}" for name, share in weights.items())
        self.say(f"{experiment} allocation {made.number}{where}: {told}.")
