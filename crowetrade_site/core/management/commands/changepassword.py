"""`manage.py changepassword NAME`: Django's command, on the record."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from crowetrade_site.core import services
from crowetrade_site.core.commands import DomainCommand


class Command(DomainCommand):
    help = "Give an account another password, drawn and printed once."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        password = secrets.token_urlsafe(12)
        services.set_password(
            user=services.acting_user(options["username"]),
            password=password,
            actor=self.actor(options),
            at=timezone.now(),
            reason=self.reason(options),
        )
        self.answer({"username": options["username"], "password": password})
        self.say(f"User {options['username']}, password {password} (shown this once).")
