"""The shape of every command: `--json`, one line on refusal, exit code 2."""

import json
import sys
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection, models
from django.db.migrations.executor import MigrationExecutor
from django.urls import get_script_prefix, reverse

from crowetrade_site import embedded
from crowetrade_site.core import context, services
from crowetrade_site.core.errors import DomainError, InvalidInput, Unavailable

MIGRATION_LOCK = 0x0C20_316A


class DomainCommand(BaseCommand):
    """A command whose refusals are one line on standard error (or a JSON problem)."""

    requires_system_checks = []
    acts = False
    needs_tables = True
    needs_broker = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Add what every command has."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", help="print JSON, for machines")
        if self.acts:
            parser.add_argument("--actor", help="user to act as (default: the console account)")
        return parser

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Nothing beyond the common arguments."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run under a request id of its own and turn a refusal into exit code 2."""
        self.as_json: bool = options["json"]
        try:
            with context.acting(actor=options.get("actor") or services.CONSOLE):
                if self.needs_broker and settings.EMBEDDED_BROKER:
                    embedded.attach(postgres=settings.EMBEDDED_POSTGRES, broker=True)
                if self.needs_tables:
                    prepare_tables(self)
                return super().execute(*args, **options)
        except DomainError as refusal:
            self.refuse(refusal)
        except embedded.EmbeddedError as error:
            self.refuse(Unavailable(str(error)))
        except BrokenPipeError:
            sys.exit(141)
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            sys.exit(130)

    def refuse(self, refusal: DomainError) -> NoReturn:
        """End with exit code 2 and one line, or the problem document under `--json`."""
        if self.as_json:
            self.stdout.write(json.dumps(refusal.problem(), default=str))
            sys.exit(2)
        raise CommandError(refusal.detail, returncode=2)

    def actor(self, options: dict[str, Any]) -> User:
        """Return the user the command acts as."""
        return services.acting_user(options.get("actor"))

    def reason(self, options: dict[str, Any], *, is_demanded: bool = False) -> str:
        """Return why, in the person's own words.

        The console account is no person: the words say who sat at it. Where words are demanded and
        there are none, there are none, and the service refuses.
        """
        words: str = options.get("reason", "").strip()
        if options.get("actor") or (is_demanded and not words):
            return words
        return services.console_reason(words)

    def say(self, line: str) -> None:
        """Print a line for a person; silent under `--json`."""
        if not self.as_json:
            self.stdout.write(line)

    def answer(self, document: dict[str, Any]) -> None:
        """Print the JSON answer; silent without `--json`."""
        if self.as_json:
            self.stdout.write(json.dumps(document, default=str, sort_keys=True))

    def say_page(self, row: models.Model) -> None:
        """Print the address of a row's page, where that of the site is known."""
        if settings.PUBLIC_URL:
            self.say(f"  {page_address(row)}")

    def write(self, html: str, out: Path) -> None:
        """Write a report whole or not at all, and say where it is.

        Raises
        ------
        InvalidInput
            The file cannot be written.
        """
        temporary = out.with_name(f".{out.name}.part")
        try:
            temporary.write_text(html)
            temporary.replace(out)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise InvalidInput(f"{out} cannot be written: {error.strerror}.") from None
        self.answer({"report": str(out.resolve()), "bytes": out.stat().st_size})
        self.say(f"{out} ({out.stat().st_size / 1024:.0f} kB)")


def page_address(row: models.Model) -> str:
    """Return the address of a row's page under `CROWETRADE_PUBLIC_URL`, which has any prefix."""
    name = row._meta.label_lower.replace(".", "_")  # noqa: SLF001 - public, as Django has it
    path = reverse(f"admin:{name}_change", args=[row.pk])
    return f"{settings.PUBLIC_URL}/{path.removeprefix(get_script_prefix())}"


def prepare_tables(command: DomainCommand) -> None:
    """Create the tables of a fresh embedded database; elsewhere say that migrations wait.

    Raises
    ------
    Unavailable
        The database does not answer, or a given one lacks migrations: changing it is its
        operator's decision.
    """
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise Unavailable(f"The database does not answer: {_first_line(error)}") from error
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not waiting:
        return
    if not settings.EMBEDDED_POSTGRES:
        raise Unavailable(f"{len(waiting)} migrations wait; run: manage.py migrate")
    command.say("Preparing the embedded database …")
    migrate()


def migrate() -> None:
    """Apply the waiting migrations; of several processes that start together one does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
