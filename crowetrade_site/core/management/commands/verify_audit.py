"""`manage.py verify_audit`: walk the trail and name the first broken entry or seal."""

import sys
from dataclasses import asdict
from typing import Any

from crowetrade_site.core import seals
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Verify the audit trail: entries, seals, signatures, published checkpoints."

    def handle(self, *args: Any, **options: Any) -> None:
        found = seals.verify()
        self.answer(asdict(found) | {"holds": found.holds})
        self.say(
            f"{found.entries} entries, {found.sealed} of them in {found.seals} seals; "
            f"{found.checkpoints} published checkpoints."
        )
        if not found.holds:
            self.say(f"BROKEN: {found.broken}")
            sys.exit(1)
        self.say("The trail holds.")
