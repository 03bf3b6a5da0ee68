"""`manage.py doctor`: check everything and say how to mend what is wrong."""

import sys
from dataclasses import asdict
from typing import Any

from crowetrade_site.core import doctor
from crowetrade_site.core.commands import DomainCommand

SIGNS = {doctor.State.OK: "✓", doctor.State.WARNING: "!", doctor.State.FAILED: "✗"}
WIDTH = 23  # of the longest name: lines are told as checks are done, and wait for no other


class Command(DomainCommand):
    help = "Check every dependency and setting, and say how to mend what is wrong."
    needs_tables = False

    def handle(self, *args: Any, **options: Any) -> None:
        found = []
        for diagnosis in doctor.examine():
            found.append(diagnosis)
            self.say(f"{SIGNS[diagnosis.state]} {diagnosis.name:<{WIDTH}} {diagnosis.detail}")
            if diagnosis.cure:
                self.say(f"  {'':<{WIDTH}} → {diagnosis.cure}")
        failed = [d for d in found if d.state is doctor.State.FAILED]
        self.answer({"healthy": not failed, "checks": [asdict(d) for d in found]})
        self.say(f"{len(failed)} of {len(found)} checks failed." if failed else "All is well.")
        if failed:
            sys.exit(1)
