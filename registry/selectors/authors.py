"""Who had a hand in the bytes of versions, by whatever way these came into the registry."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from django.db.models import Q

from registry.models import ModelVersion, StoredFile

_COPY, _LOGGED = "models:/", "models:/m-"


class Origins(NamedTuple):
    """What data the bytes of a version are said to be made from.

    Attributes
    ----------
    datasets : list of str
        Digests that count: what was said of these bytes up to this version, and later by its own
        people (its author, the owner of its model, its operators).
    set_aside : list of str
        Later versions of the same bytes, registered by others, that name more than that.
    """

    datasets: list[str]
    set_aside: list[str]


class _Relative(NamedTuple):
    """What is read of a version: who registered what from where."""

    pk: int
    digest: str
    author: int
    copied_from: int | None
    source: str
    sums: frozenset[str]


def authors_of(version: ModelVersion) -> set[int]:
    """Return the keys of all who had a hand in the bytes of a version.

    Who registered it, a version that it was copied from, or another of the same bytes; and who
    handed in the files of any of these: registering the work of somebody else does not free its
    author to approve it.
    """
    return authors_of_each([version.pk])[version.pk]


def made_from(version: ModelVersion) -> Origins:
    """Return what data the bytes of a version are said to be made from.

    What was said of them once holds under every later number: who registers them again, or copies
    them, and names other data makes nothing unseen. What a stranger says of them afterwards does
    not bind the people of a version: anybody could stop its promotion by one false digest.
    """
    return made_from_each([version])[version.pk]


def made_from_each(versions: Iterable[ModelVersion]) -> dict[int, Origins]:
    """Return what data the bytes of each version are said to be made from, by its key; one query.

    Parameters
    ----------
    versions : iterable of ModelVersion
        With their models.
    """
    asked = list(versions)
    said = defaultdict(list)
    twins = ModelVersion.objects.filter(digest__in={one.digest for one in asked}).exclude(
        datasets=[]
    )
    for claim in map(_Claim._make, twins.order_by("pk").values_list(*_Claim._fields)):
        said[claim.digest].append(claim)
    return {one.pk: _origins(one, said[one.digest]) for one in asked}


class _Claim(NamedTuple):
    pk: int
    digest: str
    datasets: list[str]
    number: int
    registered_model__name: str
    created_by__username: str
    created_by: int

    def counts_for(self, version: ModelVersion) -> bool:
        """Say whether it binds a version: made before it, or by one of its people."""
        model = version.registered_model
        return (
            self.pk <= version.pk
            or self.created_by in (version.created_by_id, model.owner_id)
            or self.created_by__username in model.operators
        )


def _origins(version: ModelVersion, claims: Iterable[_Claim]) -> Origins:
    counting, others = dict[str, None](), []
    for claim in claims:
        if claim.counts_for(version):
            counting |= dict.fromkeys(claim.datasets)
        else:
            others.append(claim)
    set_aside = [
        f"{one.registered_model__name} v{one.number} by {one.created_by__username}"
        for one in others
        if not counting.keys() >= set(one.datasets)
    ]
    return Origins(list(counting), set_aside)


def authors_of_each(versions: Iterable[int]) -> dict[int, set[int]]:
    """Return the authors of each of these versions, by its key.

    Notes
    -----
    Two queries, and one more for every step of the longest chain of copies, however many versions
    are asked for.
    """
    asked = list(versions)
    relatives = _relatives(asked)
    twins = defaultdict(list)
    for one in relatives.values():
        twins[one.digest].append(one.pk)
    handed_in = _handed_in(relatives.values())
    found = {}
    for pk in asked:
        family, ahead = set[int](), [pk]
        while ahead:
            relative = relatives.get(ahead.pop())
            if relative is not None and relative.pk not in family:
                family.add(relative.pk)
                ahead += twins[relative.digest]
                ahead += [relative.copied_from] if relative.copied_from else []
        authors = {relatives[one].author for one in family}
        found[pk] = authors.union(*(handed_in[one] for one in family))
    return found


def _relatives(versions: Iterable[int]) -> dict[int, _Relative]:
    """Return versions with all that they were copied from, and all of the same bytes."""
    found: dict[int, _Relative] = {}
    ahead = set(versions)
    while ahead:
        digests = ModelVersion.objects.filter(pk__in=ahead).values("digest")
        rows = ModelVersion.objects.filter(digest__in=digests).values_list(
            "pk", "digest", "created_by", "copied_from", "source", "manifest__files"
        )
        for pk, digest, author, origin, source, files in rows:
            sums = frozenset(file["sha256"] for file in files)
            found[pk] = _Relative(pk, digest, author, origin, source, sums)
        ahead = {one.copied_from for one in found.values() if one.copied_from} - set(found)
    return found


def _handed_in(relatives: Iterable[_Relative]) -> dict[int, set[int]]:
    """Return who handed in the files of each of these, under what it was registered from."""
    found = {one.pk: set[int]() for one in relatives}
    first_hand = [one for one in relatives if _is_first_hand(one.source)]
    if not first_hand:
        return found
    places, sums = Q(pk__in=[]), set[str]()
    for one in first_hand:
        places |= place_of(one.source)
        sums |= one.sums
    rows = StoredFile.objects.filter(places, sha256__in=sums)
    columns = ("path", "logged_model_id", "sha256", "uploaded_by")
    for path, logged, sha256, person in rows.values_list(*columns):
        for one in first_hand:
            if sha256 in one.sums and is_of_place(one.source, path, logged):
                found[one.pk].add(person)
    return found


def _is_first_hand(source: str) -> bool:
    """Say whether a source names files and not another version."""
    is_logged = source.startswith(_LOGGED) and "/" not in source.removeprefix(_COPY)
    return is_logged or bool(source and not source.startswith(_COPY))


def _folder(source: str) -> str:
    return f"{source.rstrip('/')}/"


def is_of_place(source: str, path: str, logged_model_id: str) -> bool:
    """Say of a file whether it is under what a version was registered from, as `place_of` does."""
    if not _is_first_hand(source):
        return False
    return source == f"{_COPY}{logged_model_id}" or path.startswith(_folder(source))


def place_of(source: str) -> Q:
    """Return the condition of the files under what a version was registered from.

    None are under the name of another version, from which one was copied.
    """
    if not _is_first_hand(source):
        return Q(pk__in=[])
    if source.startswith(_LOGGED):
        return Q(logged_model_id=source.removeprefix(_COPY))
    return Q(path__startswith=_folder(source))
