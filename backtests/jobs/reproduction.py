"""Whether a run computed again gives the same bytes, and if not, where they first differ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtests.models import Run
from crowetrade_site.core import provenance, storage
from crowetrade_site.core.errors import Corrupted, DomainError, NotFound


class NotReproduced(DomainError):
    """The result differs from the one recorded."""

    slug, status, title = "not-reproduced", 409, "The result is another than the one recorded"


def compare(run: Run, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a reproduction adds to its outcome; a problem where it differs."""
    original = run.reproduces
    assert original is not None  # noqa: S101 - a constraint of the table
    is_same = outcome["result_digest"] == original.result_digest and _is_stressed_alike(
        original, outcome
    )
    found = compared(original, is_same=is_same)
    if not is_same:
        found |= _where(original, outcome)
    columns: dict[str, Any] = {"summary": {**outcome["summary"], "reproduction": found}}
    if not is_same:
        columns["problem"] = NotReproduced(_sentence(found)).problem()
    return columns


def _is_stressed_alike(original: Run, outcome: Mapping[str, Any]) -> bool:
    """Whether what the account loses under stress is the same, where that was measured before."""
    before = original.summary.get("stress")
    return before is None or before == outcome["summary"].get("stress")


def compared(original: Run, *, is_same: bool) -> dict[str, Any]:
    """Return how a result stands to the one recorded, without a look at where they differ."""
    here = provenance.environment()
    return {
        "of": str(original.public_id),
        "is_identical": is_same,
        "is_same_code": provenance.code_digest() == original.code_digest,
        "environment_changes": {
            name: [original.environment.get(name), value]
            for name, value in here.items()
            if original.environment.get(name) != value
        },
        "first_difference": None,
        "is_removed": original.artifacts_expired_at is not None,
    }


def _where(original: Run, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return where two results first differ; that they differ is known without their files."""
    try:
        return {"first_difference": first_difference(original, outcome)}
    except (NotFound, Corrupted) as lost:
        return {"unreadable": lost.detail}


def _sentence(found: Mapping[str, Any]) -> str:
    where = found["first_difference"]
    code = "" if found["is_same_code"] else " The code is another than then."
    machine = ", ".join(found["environment_changes"])
    changed = f" The environment differs in {machine}." if machine else ""
    if "unreadable" in found:
        return f"Digests differ; where, a file would say. {found['unreadable']}{code}{changed}"
    if where is None and found["is_removed"]:
        return f"Digests differ; where, the removed files would say.{code}{changed}"
    if where is None:
        return f"Digests differ, but no file does: a summary does.{code}{changed}"
    return (
        f"{where['file']} first differs in {where['array']}, element {where['element']}: "
        f"{where['recorded']} was recorded, {where['now']} came out.{code}{changed}"
    )


def first_difference(original: Run, outcome: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return file, array and element at which two results first differ; None if no file does."""
    if original.artifacts_expired_at is not None:
        return None  # its files were removed: the digests differ, nobody can say where
    for name in sorted(set(original.artifacts) | set(outcome["artifacts"])):
        before, now = original.artifacts.get(name), outcome["artifacts"].get(name)
        if before is None or now is None:
            there = "recorded" if now is None else "now"
            return _difference(name, "the file", 0, before and "a file", now and "a file", there)
        if before["digest"] != now["digest"]:
            return _in_file(name, before["digest"], now["digest"])
    return None


def _difference(
    file: str, array: str, element: int, recorded: Any, now: Any, only: str = ""
) -> dict[str, Any]:
    row = {"file": file, "array": array, "element": element}
    return row | {"recorded": _plain(recorded), "now": _plain(now), "only": only}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | bool) else str(value)


def _in_file(name: str, before: str, now: str) -> dict[str, Any]:
    """Return where two files first differ: of tables the column and row, else the byte."""
    if not name.endswith(".parquet"):
        return _in_bytes(name, storage.read(before), storage.read(now))
    one, other = (pq.read_table(storage.locate(digest)) for digest in (before, now))
    for column in one.column_names:
        if column not in other.column_names:
            return _difference(name, column, 0, "a column", None)
        at = _first_unequal(one[column], other[column])
        if at is not None:
            recorded, came = (
                part[column][at].as_py() if at < part.num_rows else None for part in (one, other)
            )
            return _difference(name, column, at, recorded, came)
    return _difference(name, "the file's form", 0, one.num_rows, other.num_rows)


def _in_bytes(name: str, one: bytes, other: bytes) -> dict[str, Any]:
    pairs = enumerate(zip(one, other, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
    return _difference(name, "bytes", at, one[at : at + 40], other[at : at + 40])


def _first_unequal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> int | None:
    n = min(len(one), len(other))
    unequal: Any
    if pa.types.is_floating(one.type):
        a, b = (part.slice(0, n).to_numpy(zero_copy_only=False) for part in (one, other))
        unequal = np.flatnonzero(a.view(np.int64) != b.view(np.int64))
    else:
        pairs = zip(one.slice(0, n).to_pylist(), other.slice(0, n).to_pylist(), strict=True)
        unequal = np.flatnonzero([a != b for a, b in pairs])
    if unequal.size:
        return int(unequal[0])
    return n if len(one) != len(other) else None
