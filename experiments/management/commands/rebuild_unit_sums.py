"""`manage.py rebuild_unit_sums NAME`: add up outcomes by unit anew, or compare."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import Conflict
from experiments import selectors, services
from experiments.models import Experiment


class SumsDiffer(Conflict):
    """Sums by unit are not those of the outcomes as they came."""

    slug, title = "sums-differ", "Sums by unit are not those of the outcomes"


class Command(DomainCommand):
    help = (
        "Add up the outcomes of an experiment by unit anew: of one that ran before this was done, "
        "so that it gets an answer. Batches for it wait meanwhile."
    )
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument("--reason", default="")
        parser.add_argument(
            "--check", action="store_true",
            help="change nothing: say which sums are not those of the outcomes as they came",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = selectors.find_experiment(options["experiment"])
        if options["check"]:
            self.check_sums(experiment)
            return
        n = services.rebuild_unit_sums(
            experiment_id=experiment.public_id, actor=self.actor(options), at=timezone.now(),
            reason=self.reason(options),
        )  # fmt: skip
        self.answer({"id": experiment.public_id, "name": experiment.name, "outcomes": n})
        self.say(f"{n:,} outcomes of {experiment} are added up by unit; the next look has them.")

    def check_sums(self, experiment: Experiment) -> None:
        """Say which sums differ; end with a refusal if any does."""
        found = selectors.compare_unit_sums(experiment)
        for one in found.differing:
            self.say(
                f"  {one.metric} of {one.arm}, allocation {one.allocation}: {one.sum} is "
                f"{one.stored:.12g}, and {one.made:.12g} by the outcomes"
            )
        for cells in found.not_compared:
            self.say(
                f"  {cells.metric} of {cells.arm}, allocation {cells.allocation}: cell_* and "
                f"late_* are not compared; {cells.because}"
            )
        if found.differing:
            raise SumsDiffer(
                f"{len(found.differing)} sums by unit of {experiment} are not those of its "
                f"outcomes; rebuild them by: manage.py rebuild_unit_sums {experiment.name}",
                **asdict(found),
            )
        self.answer({"id": experiment.public_id, "name": experiment.name, **asdict(found)})
        compared = "All sums by unit" if not found.not_compared else "All that could be compared"
        self.say(f"{compared} of {experiment} are those of its outcomes.")
