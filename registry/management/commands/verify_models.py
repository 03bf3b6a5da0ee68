"""`manage.py verify_models`: hash the stored files of versions, name those that are not whole."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from registry import jobs


class Command(DomainCommand):
    help = (
        "Hash the stored files of all versions in staging and production. A version of other bytes "
        "is marked as compromised, for good, and the trail says so."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="versions of every stage")

    def handle(self, *args: Any, **options: Any) -> None:
        found = jobs.verify_versions(at=timezone.now(), is_all=options["all"])
        self.answer(found._asdict())
        for sentence in found.broken:
            self.say(f"BROKEN: {sentence}")
        for sentence in found.not_verified:
            self.say(f"NOT VERIFIED: {sentence}")
        self.say(
            f"{found.n_versions} versions: {found.n_files} files of {found.n_bytes / 1e6:.1f} MB "
            "are what was registered."
        )
        if found.broken or found.not_verified:
            sys.exit(1)
