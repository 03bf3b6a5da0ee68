"""`manage.py cancel RUN_ID --reason "…"`: stop a run."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from backtests import selectors, services
from backtests.lifecycle import RunStatus
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Stop a run: one that waits ends at once, a running one at its next slice of work."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", help="id of a run, or its beginning")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        run = services.cancel_run(
            run_id=selectors.find_run(options["run"]).public_id,
            actor=self.actor(options),
            reason=self.reason(options),
            at=timezone.now(),
        )
        self.answer(
            {
                "id": run.public_id,
                "status": run.status,
                "cancel_requested_at": run.cancel_requested_at,
            }
        )
        if run.status == RunStatus.CANCELLED:
            self.say(f"{run.public_id} is cancelled.")
        else:
            self.say(f"{run.public_id} is asked to stop; it does at its next slice of work.")
