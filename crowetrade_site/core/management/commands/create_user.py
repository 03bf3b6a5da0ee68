"""`manage.py create_user NAME --role researcher`: add a person, on the record."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from crowetrade_site.core import services
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.roles import Role


class Command(DomainCommand):
    help = "Create an account with roles. Its password is drawn and printed once."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--role", action="append", choices=[role.value for role in Role], required=True
        )
        parser.add_argument("--email", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        password = secrets.token_urlsafe(12)
        user = services.create_user(
            username=options["username"],
            email=options["email"],
            roles_given=[Role(role) for role in options["role"]],
            password=password,
            actor=self.actor(options),
            at=timezone.now(),
            reason=self.reason(options),
        )
        self.answer({"username": user.username, "password": password, "roles": options["role"]})
        self.say(f"User {user.username}, password {password} (shown this once).")
