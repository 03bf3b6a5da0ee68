"""`manage.py collect_files`: remove files of models that nobody registered, or were refused."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.utils import timezone

from backtests import services
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = (
        "Remove files of models that no version refers to, and those of versions refused long ago."
    )
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")
        parser.add_argument("--reason", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        is_dry = options["dry_run"]
        found = services.collect_files(
            actor=self.actor(options), at=timezone.now(),
            reason=self.reason(options, is_demanded=True), is_dry=is_dry,
        )  # fmt: skip
        self.answer({"is_dry": is_dry, "keep_days": settings.FILE_KEEP_DAYS, **found._asdict()})
        for path in found.forgotten:
            self.say(f"{path}: nobody registered it within {settings.FILE_KEEP_DAYS} days")
        for version in found.discarded:
            self.say(f"{version}: it was refused, and its files are given up; its record stays")
        self.say(
            f"{len(found.removed)} objects {'would be' if is_dry else 'were'} removed, "
            f"{found.n_bytes / 1e6:.1f} MB; {found.n_kept} stay. What was forgotten now goes "
            f"{settings.RETENTION_GRACE_SECONDS} s later, at the next pass."
        )
