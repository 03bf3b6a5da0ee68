"""`manage.py start_experiment NAME`: pin what its arms are and begin."""

from argparse import ArgumentParser
from typing import Any

from experiments import services
from experiments.management.moving import MoveCommand
from experiments.models import Experiment


class Command(MoveCommand):
    help = "Freeze an experiment's plan, pin the versions of its models, and begin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--allow-same-arms", action="store_true",
            help="start an A/A test, whose arms are the same files",
        )  # fmt: skip

    def make_move(self, options: dict[str, Any], **asked: Any) -> Experiment:
        """Start it; arms that are the same files have to be meant."""
        try:
            return services.start_experiment(allow_same_arms=options["allow_same_arms"], **asked)
        except services.SameArms as refusal:
            raise refusal.by(
                "name another version, or start an A/A test by --allow-same-arms"
            ) from None
