"""`manage.py check_causality RUN_ID`: see whether a finished backtest looks ahead."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from backtests import selectors, services
from backtests.management.commands import run as running
from backtests.models import Run


class Command(running.Command):
    help = "Compute a finished backtest on other futures, and compare what came before them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="id of a backtest, or its beginning")
        # as `run` has it: whoever writes it for both is not refused
        parser.add_argument("--wait", action="store_true", help="watch it to its end: it always is")
        parser.add_argument("--timeout", type=float, help="stop watching after this many seconds")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        original = selectors.find_run(options["run"])
        run = services.check_causality(
            run_id=original.public_id,
            actor=self.actor(options),
            reason=self.reason(options),
            at=timezone.now(),
        )
        self.say(f"{run.public_id} checks whether {original.public_id} looks ahead")
        self.say_page(run)
        self.conclude(self.watch(run, options["timeout"]))

    def conclude(self, run: Run) -> None:
        """Say whether it looks ahead, and if so where first; exit 1 unless it does not."""
        found = run.summary.get("causality")
        self.answer(
            {"id": run.public_id, "status": run.status, "causality": found, "problem": run.problem}
        )
        if found and not found["n_differing"]:
            self.say(
                f"Nothing up to any of {found['n_cuts']} cuts changed with the bars after it: "
                f"{found['n_decisions']:,} bars of decision, {found['n_bars']:,} bars."
            )
            if not found["n_responding"]:
                self.say("Nor did anything after them: the check says little of this run.")
            return
        detail = run.problem["detail"] if run.problem else f"The run is {run.status}."
        self.say(detail)
        sys.exit(1)
