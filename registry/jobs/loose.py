"""Notes of stored objects that have no name: by its note an object is removed, and by no other."""

from collections.abc import Collection
from datetime import datetime

from registry.models import LooseObject


def note_loose(digest: str, *, at: datetime) -> None:
    """Note an object that lost its name, or never got one; its grace begins now."""
    LooseObject.objects.update_or_create(sha256=digest, defaults={"loose_since": at})


def keep_loose(digests: Collection[str]) -> None:
    """Take back the notes of objects; waits for one that is being removed at this moment."""
    LooseObject.objects.filter(sha256__in=digests).delete()


def hold_note(row: LooseObject) -> bool:
    """Keep the note of an object until the end of the transaction; False where it is gone."""
    same = LooseObject.objects.filter(pk=row.pk, loose_since=row.loose_since)
    return same.select_for_update(skip_locked=True).exists()
