"""`manage.py prune_artifacts`: remove the artefacts that the retention policy no longer keeps."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.utils import timezone

from backtests import selectors, services
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Remove the artefacts of runs that the retention policy no longer keeps; rows stay."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        is_dry = options["dry_run"]
        pruned = services.prune_artifacts(
            actor=self.actor(options),
            at=timezone.now(),
            reason=self.reason(options, is_demanded=True),
            is_dry=is_dry,
        )
        self.answer(
            {
                "is_dry": is_dry,
                "policy_days": settings.RETENTION_DAYS,
                "expired": [
                    {"run": run.public_id, "rule": rule, "finished_at": run.finished_at}
                    for run, rule in pruned.expired
                ],
                "removed": [run.public_id for run in pruned.removed],
                "n_objects": pruned.n_objects,
                "n_bytes": pruned.n_bytes,
                "n_shared": pruned.n_shared,
            }
        )
        would = "would expire" if is_dry else "expires"
        for run, rule in pruned.expired:
            self.say(f"{run.public_id} {would} ({rule}): {selectors.describe_run(run)}")
        self.say(
            f"{len(pruned.expired)} runs {'would expire' if is_dry else 'expired'}; their files go "
            f"{settings.RETENTION_GRACE_SECONDS} s later, at the next pass."
        )
        self.say(
            f"{pruned.n_objects} objects of {len(pruned.removed)} runs that expired before "
            f"{'would be' if is_dry else 'were'} removed, {pruned.n_bytes / 1e6:.1f} MB; "
            f"{pruned.n_shared} stay, which others refer to."
        )
