"""What the commands share that move an experiment through its life."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, ClassVar

from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from experiments import selectors
from experiments.models import Experiment


class MoveCommand(DomainCommand):
    """One move: a subclass says which service makes it, and whether it takes a reason."""

    acts = True
    needs_reason = False
    move: ClassVar[Callable[..., Experiment]]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        if self.needs_reason:
            parser.add_argument("--reason", required=True)
        else:
            parser.add_argument("--reason", default="")

    def make_move(self, options: dict[str, Any], **asked: Any) -> Experiment:  # noqa: ARG002
        """Call the service; a command with options of its own hands them on."""
        return type(self).move(**asked)

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - as Django asks
        experiment = self.make_move(
            options,
            experiment_id=selectors.find_experiment(options["experiment"]).public_id,
            actor=self.actor(options),
            reason=self.reason(options, is_demanded=self.needs_reason),
            at=timezone.now(),
        )
        self.answer(
            {"id": experiment.public_id, "name": experiment.name, "status": experiment.status}
        )
        self.say(f"{experiment} is {experiment.status}.")
        self.say_page(experiment)
