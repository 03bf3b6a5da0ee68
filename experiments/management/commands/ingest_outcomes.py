"""`manage.py ingest_outcomes NAME FILE`: hand outcomes of a file in, as the API takes them."""

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.core.errors import InvalidInput, NotFound, translating
from experiments import selectors
from experiments.intake import IntakeError, Refusal, Sent, of_rows
from experiments.intake.columns import MOST_ROWS
from experiments.intake.judging import MOST_REFUSALS
from experiments.services.outcomes import record_outcomes

KINDS = (".json", ".csv", ".parquet", ".arrow")


class Command(DomainCommand):
    help = "Take outcomes from a file, each at most once; the same file again changes nothing."
    acts = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")
        parser.add_argument("file", type=Path, help=", ".join(KINDS))
        parser.add_argument("--batch", type=int, default=MOST_ROWS, help="outcomes a transaction")

    def handle(self, *args: Any, **options: Any) -> None:
        experiment_id = selectors.find_experiment(options["experiment"]).public_id
        if not 1 <= options["batch"] <= MOST_ROWS:
            raise InvalidInput(f"--batch is 1 to {MOST_ROWS}.")
        self.report(self.take(experiment_id, options, self.actor(options)))

    def take(self, experiment_id: UUID, options: dict[str, Any], actor: User) -> "Counter[str]":
        """Hand in batch after batch and return what became of all of them."""
        counted = Counter({"accepted": 0, "duplicate": 0, "late": 0})
        n_before = n_told = 0
        with translating(IntakeError, InvalidInput):
            for sent in batches(options["file"], options["batch"]):
                receipt = record_outcomes(
                    experiment_id=experiment_id, sent=sent, actor=actor, at=timezone.now()
                )
                counted.update({name: getattr(receipt, name) for name in ("accepted", "duplicate")})
                counted.update({"late": receipt.late, **receipt.refused})
                told = receipt.refusals[: MOST_REFUSALS - n_told]
                self.tell(told, options["file"], n_before)
                n_told += len(told)
                n_before += sent.n_rows
        return counted

    def tell(self, told: Sequence[Refusal], path: Path, n_before: int) -> None:
        """Print refusals of a batch by their place in the file, which has rows before it."""
        if not told:
            return
        from experiments.intake import files  # pyarrow loads when it is first needed

        where = files.places(path, [n_before + one.row for one in told])
        for place, one in zip(where, told, strict=True):
            self.say(f"  {place}: {one.reason}: {one.detail}")

    def report(self, counted: "Counter[str]") -> None:
        """Say what was taken and what was not."""
        taken = {name: counted.pop(name) for name in ("accepted", "duplicate", "late")}
        refused = {reason: n for reason, n in sorted(counted.items()) if n}
        self.answer({**taken, "refused": refused})
        self.say(
            f"{taken['accepted']:,} taken, {taken['late']:,} of them late; "
            f"{taken['duplicate']:,} had been counted; {sum(refused.values()):,} refused."
        )
        for reason, n in refused.items():
            self.say(f"  {reason:<20} {n:>12,}")
        if refused and not taken["accepted"] and not taken["duplicate"]:
            raise InvalidInput("Every outcome of the file was refused; nothing was taken.")


def batches(path: Path, n_rows: int) -> Iterator[Sent]:
    """Return the outcomes of a file, so many at a time.

    Raises
    ------
    NotFound, InvalidInput
        There is no such file, or it cannot be read as what its name says.
    """
    if path.suffix not in KINDS:
        raise InvalidInput(f"{path.name} is none of {', '.join(KINDS)}.")
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if path.suffix == ".json":
        rows = _json_rows(path)
        return (of_rows(rows[at : at + n_rows]) for at in range(0, len(rows), n_rows))
    from experiments.intake import files  # pyarrow loads when it is first needed

    return files.batches(path, n_rows)


def _json_rows(path: Path) -> list[Any]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise InvalidInput(f"{path.name} is no JSON that can be read.") from None
    rows = document.get("outcomes") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise InvalidInput(f'{path.name} holds no list, and no {{"outcomes": [...]}}.')
    return rows
