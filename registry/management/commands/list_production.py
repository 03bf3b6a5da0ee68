"""`manage.py list_production`: which version was in production when, from the audit trail."""

from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime

from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import InvalidInput
from registry import selectors


class Command(DomainCommand):
    help = "List every stay of a version in production: from when to when, by whom and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", help="of this model alone (default: of all)")
        parser.add_argument("--at", help="what was there then, such as 2026-03-01T09:30:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        at = _moment(options["at"]) if options["at"] else None
        name = options["model"]
        models = [selectors.get_model(name)] if name else selectors.list_models().order_by("name")
        stays = [stay for model in models for stay in selectors.list_stays(model, at=at)]
        self.answer({"stays": [asdict(stay) for stay in stays]})
        for stay in stays:
            left = f"{stay.until:%Y-%m-%d %H:%M:%SZ} ({stay.ended})" if stay.until else "now"
            self.say(
                f"{stay.model}/{stay.version} {stay.digest[:12]}  {stay.since:%Y-%m-%d %H:%M:%SZ} "
                f"({stay.begun} by {stay.begun_by}) to {left}"
            )
        if not stays:
            self.say("No version was in production" + (f" at {at}." if at else "."))


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(f"--at {text!r} is no moment with a time zone, as 2026-03-01T09:30:00Z.")
    return moment
