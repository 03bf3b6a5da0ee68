"""Two versions side by side, on a page: what is the same, and what is not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import filesizeformat

from crowetrade_site.core.errors import DomainError, NotFound
from registry import selectors
from registry.admin.base import MAIN_FIGURES
from registry.lifecycle import EvidenceStatus, Stage
from registry.models import Evidence, ModelVersion
from registry.rules.policies import GateKind
from registry.selectors import Pair

MOST_SUGGESTED = 50
TITLES = {
    "metrics": "Metrics", "parameters": "Parameters", "files": "Files", "datasets": "Data",
    "framework": "Framework", "signature": "Signature", "tags": "Tags",
}  # fmt: skip
SHORT = 12
CHECKS = frozenset({GateKind.CAUSALITY, GateKind.DATA_QUALITY, GateKind.REPRODUCTION})
NAMES = frozenset({"of", "topic"})  # say what was looked at, and are no figures


@dataclass(frozen=True)
class Row:
    """One thing of two versions as it is shown; empty where one has it not."""

    name: str
    one: str
    other: str
    is_same: bool
    change: str = ""


@dataclass(frozen=True)
class Section:
    """Things of one kind."""

    title: str
    rows: Sequence[Row]

    @property
    def n_different(self) -> int:
        """How many are not the same."""
        return sum(not row.is_same for row in self.rows)


def comparison(version: ModelVersion, wanted: str) -> dict[str, Any]:
    """Return what the page shows of a version beside another, which ``NAME/NUMBER`` names.

    Where none is named: the version in production, or the one before.
    """
    relatives = list(
        selectors.list_versions().filter(registered_model=version.registered_model_id)
        .exclude(pk=version.pk).order_by("-number")[:MOST_SUGGESTED]
    )  # fmt: skip
    other, refusal = None, ""
    try:
        other = _named(wanted) if wanted else _likely(version, relatives)
    except DomainError as refused:
        refusal = refused.detail
    return {
        "title": f"{version} beside another version",
        "version": version,
        "other": other,
        "refusal": refusal,
        "wanted": wanted or (_name(other) if other else ""),
        "suggested": [_name(one) for one in relatives],
        "sections": [] if other is None else _sections(version, other),
    }


def _name(version: ModelVersion) -> str:
    return f"{version.registered_model.name}/{version.number}"


def _named(wanted: str) -> ModelVersion:
    name, _, number = wanted.strip().removeprefix("models:/").rpartition("/")
    if not name or not number.isdecimal() or len(number) > 9:
        raise NotFound(f"{wanted[:300]!r} names no version: NAME/NUMBER is asked.")
    return selectors.get_version_of(name, int(number))


def _likely(version: ModelVersion, relatives: Sequence[ModelVersion]) -> ModelVersion | None:
    """Return the version in production, or else the one before, or any."""
    in_production = (one for one in relatives if one.stage == Stage.PRODUCTION)
    before = (one for one in relatives if one.number < version.number)
    return next(in_production, None) or next(before, None) or next(iter(relatives), None)


def _sections(one: ModelVersion, other: ModelVersion) -> list[Section]:
    pairs = selectors.side_by_side(one, other)
    shown = {"": _facts(one, other), "Evidence": _evidence(one, other)}
    shown |= {title: pairs[key] for key, title in TITLES.items()}
    return [
        Section(
            title or "Version", [_row(pair, is_file=title in ("Files", "Data")) for pair in rows]
        )
        for title, rows in shown.items()
        if rows
    ]


def _facts(one: ModelVersion, other: ModelVersion) -> list[Pair]:
    columns = {
        "stage": "stage", "status": "status", "format": "format", "author": "created_by",
        "registered": "created_at", "size": "n_bytes", "code revision": "code_revision",
        "source": "source", "digest": "digest",
    }  # fmt: skip
    return [
        Pair(name, *(_fact(getattr(version, column), column) for version in (one, other)))
        for name, column in columns.items()
    ]


def _fact(value: Any, column: str) -> str:
    if column == "created_at":
        return f"{value:%Y-%m-%d %H:%M}"
    return str(filesizeformat(value) if column == "n_bytes" else value)


def _evidence(one: ModelVersion, other: ModelVersion) -> list[Pair]:
    """Return the main figures of what was measured and counts, the newest of each kind."""
    pieces = Evidence.objects.filter(
        version__in=(one, other), is_measured=True, status=EvidenceStatus.VALID
    ).order_by("produced_at", "id")
    sides: dict[int, dict[str, Any]] = {one.pk: {}, other.pk: {}}
    for piece in pieces.only("version_id", "kind", "figures"):
        sides[piece.version_id] |= {
            f"{piece.kind}: {name}": value
            for name, value in piece.figures.items() if _is_compared(piece.kind, name)
        }  # fmt: skip
    names = sorted({*sides[one.pk], *sides[other.pk]})
    return [Pair(name, sides[one.pk].get(name), sides[other.pk].get(name)) for name in names]


def _is_compared(kind: str, figure: str) -> bool:
    """Say whether a figure is shown: of checks all, which are few, of accounts the main ones."""
    return figure in MAIN_FIGURES or (kind in CHECKS and figure not in NAMES)


def _row(pair: Pair, *, is_file: bool) -> Row:
    one, other = (_shown(value, is_file=is_file) for value in (pair.one, pair.other))
    name = pair.name if len(pair.name) < 64 or "/" in pair.name else f"{pair.name[:SHORT]}…"
    return Row(name, one, other, pair.is_same, _change(pair))


def _shown(value: Any, *, is_file: bool) -> str:
    if value is None:
        return ""
    if is_file:
        return f"{value[:SHORT]}…"
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _change(pair: Pair) -> str:
    """Return by how much the second number is more than the first."""
    numbers = [value for value in (pair.one, pair.other) if _is_number(value)]
    if len(numbers) < 2 or pair.is_same:
        return ""
    return f"{numbers[1] - numbers[0]:+.4g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
