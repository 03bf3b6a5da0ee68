"""`manage.py createsuperuser`: refused, because it would leave no entry in the trail."""

import sys

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Not used here: an account is made by create_user, on the record."

    def run_from_argv(self, argv: list[str]) -> None:
        """Refuse whatever is asked for, and name the way."""
        self.stderr.write("Accounts are made on the record: create_user NAME --role admin")
        sys.exit(2)
