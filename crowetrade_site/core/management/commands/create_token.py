"""`manage.py create_token`: issue an API token; its text is printed once."""

from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from crowetrade_site.core import roles, services
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import InvalidInput


class Command(DomainCommand):
    help = "Issue an API token for a user. The token is printed once and stored only as a hash."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="command line", help="what the token is for")
        parser.add_argument(
            "--scope", action="append", help="repeatable; default: all the roles give"
        )
        parser.add_argument("--days", type=int, help="valid for this many days; default: no end")

    def handle(self, *args: Any, **options: Any) -> None:
        user = services.acting_user(options["username"])
        at = timezone.now()
        token, plain = services.issue_token(
            user=user,
            name=options["name"],
            scopes=options["scope"] or sorted(roles.grants(user)),
            actor=self.actor(options),
            at=at,
            expires_at=_after(at, options["days"]),
        )
        self.answer({"token": plain, "prefix": token.prefix, "scopes": token.scopes})
        self.say(plain)


def _after(at: datetime, days: int | None) -> datetime | None:
    if days is None:
        return None
    try:
        return at + timedelta(days=days)
    except OverflowError:
        raise InvalidInput(f"--days {days} lies beyond the calendar.") from None
