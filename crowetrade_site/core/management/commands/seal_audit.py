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
            help="look at every entry, not only at those since the last seal",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        count, sealed = 0, seals.seal(at=timezone.now(), full=options["full"])
        last = sealed
        while sealed:
            last, count = sealed, count + sealed.count
            sealed = seals.seal(at=timezone.now()) if sealed.count >= seals.LIMIT else None
        self.answer({"seal": last.number if last else None, "count": count})
        self.say(
            f"{count} entries are sealed now; the last seal is number {last.number}."
            if last
            else "Nothing waits."
        )
