"""Taking away bytes that were handed in and that no version ever named.

Removing takes two passes, as that of runs' artefacts does. The first forgets files that nobody
registered for long, and notes what they were. The second, a grace later, takes away the objects
that nothing refers to and nobody has stored again meanwhile. A file that a version refers to is
frozen for ever: neither its row nor its bytes are looked at, whatever became of the version, but
for one that was refused (`discarding`).
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db import transaction

from crowetrade_site.core import audit, storage
from registry.jobs.discarding import discard_refused
from registry.jobs.loose import hold_note, note_loose
from registry.models import LooseObject, StoredFile
from registry.selectors import referred_to

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST_FILES = 1000  # of a pass; the next does the rest
InUse = Callable[[Iterable[str]], set[str]]


class Collected(NamedTuple):
    """What a pass did, or would do.

    Attributes
    ----------
    forgotten : list of str
        Paths of files that nobody registered in time.
    removed : list of str
        Digests of objects that were taken out of the store.
    n_bytes : int
        How large these were.
    n_kept : int
        Objects that stay, because something refers to them or they were stored again.
    discarded : list of str
        Refused versions whose files were given up.
    """

    forgotten: list[str]
    removed: list[str]
    n_bytes: int
    n_kept: int
    discarded: list[str]


def collect_files(
    *, at: datetime, in_use: InUse, actor: "User | None" = None, reason: str = "",
    is_dry: bool = False,
) -> Collected:  # fmt: skip
    """Do both passes.

    Parameters
    ----------
    in_use : callable
        Takes digests and returns those that anything above the registry refers to: it knows
        neither runs nor datasets, and asks who does.

    Raises
    ------
    Unavailable
        The store does not answer; what was removed until then is recorded.
    """
    removed, n_bytes, n_kept = _remove(at, in_use, actor, reason, is_dry=is_dry)
    forgotten = _forget(at, actor, reason, is_dry=is_dry)
    discarded = discard_refused(at, actor, reason, is_dry=is_dry)
    return Collected(forgotten, removed, n_bytes, n_kept, discarded)


def _forget(at: datetime, actor: "User | None", reason: str, *, is_dry: bool) -> list[str]:
    """Forget files that nobody registered; whoever registers one at this moment keeps it."""
    before = at - timedelta(days=settings.FILE_KEEP_DAYS)
    old = StoredFile.objects.filter(frozen_at=None, uploaded_at__lte=before).order_by("id")
    if is_dry:
        return list(old.values_list("path", flat=True)[:MOST_FILES])
    forgotten = []
    for pk in list(old.values_list("pk", flat=True)[:MOST_FILES]):
        with transaction.atomic():
            row = old.select_for_update(skip_locked=True).filter(pk=pk).first()
            if row is None:
                continue
            audit.record(
                "registry.file.expired", row, actor=actor, at=at,
                reason=reason or f"nobody registered it within {settings.FILE_KEEP_DAYS} days",
                before={"path": row.path, "sha256": row.sha256, "n_bytes": row.n_bytes},
            )  # fmt: skip
            note_loose(row.sha256, at=at)
            row.delete()
            forgotten.append(row.path)
    return forgotten


def _remove(
    at: datetime, in_use: InUse, actor: "User | None", reason: str, *, is_dry: bool
) -> tuple[list[str], int, int]:
    """Take away what lost its name a grace ago; what has one again is loose no more."""
    before = at - timedelta(seconds=settings.RETENTION_GRACE_SECONDS)
    due = LooseObject.objects.filter(loose_since__lte=before).order_by("loose_since", "id")
    rows = list(due[:MOST_FILES])
    digests = {row.sha256 for row in rows}
    kept = referred_to(digests) | in_use(digests)
    removed, n_bytes, n_kept = [], 0, len(kept)
    for row in rows:
        with transaction.atomic():
            if not is_dry and not hold_note(row):  # somebody took the note back
                continue
            if row.sha256 in kept:
                _settle(row, is_dry=is_dry)
                continue
            size = _take_away(row.sha256, before, is_dry=is_dry)
            if size is None and storage.exists(row.sha256):
                n_kept += 1  # stored again a moment ago: the next pass looks again
                continue
            _settle(row, is_dry=is_dry, size=size, at=at, actor=actor, reason=reason)
        if size is not None:
            removed.append(row.sha256)
            n_bytes += size
    return removed, n_bytes, n_kept


def _take_away(digest: str, before: datetime, *, is_dry: bool) -> int | None:
    if not is_dry:
        return storage.remove_unless_renewed(digest, before)
    found = storage.look(digest)
    return None if found is None or found.written_at > before else found.n_bytes


def _settle(
    row: LooseObject, *, is_dry: bool, size: int | None = None, at: datetime | None = None,
    actor: "User | None" = None, reason: str = "",
) -> None:  # fmt: skip
    """Drop the note of an object; record its removal if it was removed."""
    if is_dry:
        return
    if size is not None and at is not None:
        audit.record(
            "registry.file.collected", row, actor=actor, at=at,
            reason=reason or "nothing refers to it, and its grace is over",
            before={"sha256": row.sha256, "n_bytes": size},
        )  # fmt: skip
    LooseObject.objects.filter(pk=row.pk).delete()
