"""`manage.py export_audit`: the trail as files that anybody verifies without this platform."""

import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.utils import timezone

from crowetrade_site.core import exporting
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Write the sealed audit trail into a folder, with a verifier that needs nothing else."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--out", type=Path, required=True, metavar="FOLDER", help="a new or an empty folder"
        )
        parser.add_argument("--reason", default="", help="for whom, for what")

    def handle(self, *args: Any, **options: Any) -> None:
        made = exporting.export(
            out=options["out"], actor=self.actor(options), at=timezone.now(),
            reason=self.reason(options),
        )  # fmt: skip
        self.answer(asdict(made) | {"holds": not made.broken})
        self.say(
            f"{made.entries} entries in {made.seals} seals, "
            f"{made.checkpoints} published checkpoints: {made.folder}"
        )
        if made.unsealed:
            self.say(f"{made.unsealed} entries that no seal holds yet are left out.")
        if made.broken:
            self.say(f"BROKEN: {made.broken}")
            sys.exit(1)
        self.say(f"The export holds; verify it: python3 -I {made.folder / 'verify_trail.py'}")
