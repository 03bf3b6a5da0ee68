"""Files that were handed in, as a tree of folders."""

from collections.abc import Iterable
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db.models import BooleanField, Case, F, Func, Max, TextField, Value, When
from django.db.models.functions import StrIndex, Substr

from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden, NotFound
from registry.models import StoredFile


class Entry(NamedTuple):
    """One name in a folder."""

    name: str
    is_folder: bool
    n_bytes: int


def get_stored_file(path: str, reader: User) -> StoredFile:
    """Return a file that was handed in, for somebody who may read it.

    What nobody has looked at is read by whoever handed it in, and by nobody else.

    Raises
    ------
    NotFound
        There is none at this path (404).
    Forbidden
        Somebody else handed it in: it is read through the version that has it (403).
    """
    found = StoredFile.objects.filter(path=path).first()
    if found is None:
        raise NotFound(f"There is no file {path}.")
    is_own = found.uploaded_by_id == reader.pk
    if not is_own and (found.frozen_at is None or not _reads_all(reader)):
        raise Forbidden(
            f"Somebody else handed in {path}; once it is registered, read it through its version."
        )
    return found


def list_folder(folder: str, reader: User) -> list[Entry]:
    """Return the names directly under a folder that somebody may read; "" is the top."""
    start = f"{folder}/" if folder else ""
    rows = StoredFile.objects.filter(path__startswith=start)
    if not _reads_all(reader):
        rows = rows.filter(uploaded_by=reader)
    rest = Substr("path", len(start) + 1)
    name = Func(F("rest"), Value("/"), Value(1), function="split_part", output_field=TextField())
    is_folder = Case(When(slash__gt=0, then=True), default=False, output_field=BooleanField())
    named = rows.annotate(rest=rest).annotate(slash=StrIndex("rest", Value("/")))
    found = named.annotate(name=name, is_folder=is_folder).values("name", "is_folder")
    sized = found.annotate(size=Max("n_bytes")).order_by("name")
    return [Entry(row["name"], row["is_folder"], row["size"]) for row in sized]


def folder_of(files: Iterable[tuple[str, int]], folder: str) -> list[Entry]:
    """Return the names directly under a folder, of files that are all at hand."""
    start = f"{folder}/" if folder else ""
    entries: dict[str, Entry] = {}
    for path, n_bytes in files:
        if path.startswith(start):
            name, slash, _ = path[len(start) :].partition("/")
            entries[name] = Entry(name, bool(slash), 0 if slash else n_bytes)
    return [entries[name] for name in sorted(entries)]


def _reads_all(reader: User) -> bool:
    """Whoever judges versions sees what they are made of."""
    return "models:approve" in roles.grants(reader)
