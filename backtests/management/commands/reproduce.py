"""`manage.py reproduce RUN_ID`: compute a run again and compare every byte."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from backtests import selectors, services
from backtests.management.commands import run as running
from backtests.models import Run


class Command(running.Command):
    help = "Compute a finished run again from what is stored, and compare every byte."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="id of a run, or its beginning")
        # as `run` has it: whoever writes it for both is not refused
        parser.add_argument("--wait", action="store_true", help="watch it to its end: it always is")
        parser.add_argument("--timeout", type=float, help="stop watching after this many seconds")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        original = selectors.find_run(options["run"])
        run = services.reproduce_run(
            run_id=original.public_id,
            actor=self.actor(options),
            reason=self.reason(options),
            at=timezone.now(),
        )
        self.say(f"{run.public_id} computes {original.public_id} again")
        self.say_page(run)
        self.conclude(self.watch(run, options["timeout"]))

    def conclude(self, run: Run) -> None:
        """Say whether it is the same, and if not where it first differs; exit 1 unless it is."""
        found = run.summary.get("reproduction")
        self.answer(
            {
                "id": run.public_id, "status": run.status, "result_digest": run.result_digest,
                "reproduction": found, "problem": run.problem,
            }
        )  # fmt: skip
        if found and found["is_identical"]:
            self.say(f"Identical: sha256:{run.result_digest}")
            return
        detail = run.problem["detail"] if run.problem else f"The run is {run.status}."
        self.say(detail)
        sys.exit(1)
