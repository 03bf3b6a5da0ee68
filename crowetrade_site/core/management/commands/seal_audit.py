"""`manage.py seal_audit`: seal now, or everything anew after a restore."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from crowetrade_site.core import seals
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Seal the committed entries of the audit trail now, as the beat does every few seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--full",
            action="store_true",
            help="look at every entry, under a lock: once after a restore elsewhere",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sealed = seals.seal(at=timezone.now(), full=options["full"])
        self.answer(
            {"seal": sealed.number if sealed else None, "count": sealed.count if sealed else 0}
        )
        self.say(
            f"Seal {sealed.number} holds {sealed.count} entries." if sealed else "Nothing waits."
        )
