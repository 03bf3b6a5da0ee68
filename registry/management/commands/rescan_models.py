"""`manage.py rescan_models`: look at versions again that earlier rules of the scanner admitted."""

import sys
from argparse import ArgumentParser
from typing import Any

from crowetrade_site.core.commands import DomainCommand
from registry import jobs


class Command(DomainCommand):
    help = (
        "Look at all ready versions once more that were admitted by earlier rules. What fails is "
        "quarantined or refused, and a version of production marked; broken off, it goes on where "
        "it was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would fail, alone")

    def handle(self, *args: Any, **options: Any) -> None:
        is_dry = options["dry_run"]
        found = jobs.rescan_versions(is_dry=is_dry, tell=self.say)
        self.answer(found._asdict())
        for sentence in found.in_production:
            self.say(f"IN PRODUCTION: {sentence}")
        for sentence in found.failed:
            self.say(f"{'WOULD FAIL' if is_dry else 'FAILED'}: {sentence}")
        for sentence in found.not_scanned:
            self.say(f"NOT SCANNED: {sentence}")
        self.say(f"{found.n_versions} versions to look at: {found.n_passed} pass.")
        if found.failed or found.in_production or found.not_scanned:
            sys.exit(1)
