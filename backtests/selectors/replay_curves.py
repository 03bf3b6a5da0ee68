"""The curves of a replay: its tables as they are stored, and as they are drawn."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from backtests.models import Run
from crowetrade_site.core import drawings, storage
from crowetrade_site.core.drawings import Curve, Drawing

_NS = 1_000_000_000


def rows_of(run: Run, name: str) -> list[dict[str, Any]]:
    """Return the rows of one of a replay's tables, stamps as whole nanoseconds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(storage.locate(run.artifacts[name]["digest"]))
    if "ts" in table.column_names:
        at = table.column_names.index("ts")
        table = table.set_column(at, "ts", table["ts"].cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def draw_policies(
    rows: Sequence[Mapping[str, Any]], name: str, title: str, said: str
) -> Drawing | None:
    """Return a figure of each policy over the periods, its mean and quartiles."""
    curves, along = [], []
    short = _short([str(row["policy"]) for row in rows])
    for policy, group in groupby(rows, key=lambda row: row["policy"]):
        points = list(group)
        along = [float(row["period"]) for row in points]
        kept = {part: [row[f"{name}_{part}"] for row in points] for part in ("mean", "p25", "p75")}
        curves.append(Curve(short[policy], kept["mean"], kept["p25"], kept["p75"]))
    if not curves:
        return None
    return drawings.draw_curves(
        along, curves, title=title, said=said, write=_rough, across="periods",
        write_along=lambda value: f"{value:,.0f}", levels=[(0.0, "")],
    )  # fmt: skip


def _short(names: Sequence[str]) -> dict[str, str]:
    """Return names for a legend: the first word where that tells policies apart."""
    known = list(dict.fromkeys(names))
    words = [name.split("_")[0] for name in known]
    return dict(zip(known, words if len(set(words)) == len(known) else known, strict=True))


def draw_sequence(rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> Drawing | None:
    """Return each challenger's difference from the control a year, with its interval as it went."""
    scale, curves, along = found["periods_per_year"], [], []
    order = [arm["arm"] for arm in found["arms"]]
    for arm, group in groupby(rows, key=lambda row: row["arm"]):
        points = list(group)
        along = [row["ts"] / _NS for row in points]
        parts = {
            part: [missing if row[part] is None else scale * row[part] for row in points]
            for part, missing in (
                ("estimate", float("nan")), ("lower", float("-inf")), ("upper", float("inf")),
            )
        }  # fmt: skip
        curves.append(
            Curve(arm, parts["estimate"], parts["lower"], parts["upper"], color=order.index(arm))
        )
    if not curves:
        return None
    return drawings.draw_curves(
        along, curves, title=f"Difference from {found['control']}, a year",
        said="The estimate after every period, and the interval that holds at all looks at once. "
        "An answer is there when it leaves 0 out.",
        write=_rough, write_along=drawings.write_time_of(along[0], along[-1]),
        levels=[(0.0, "")],
    )  # fmt: skip


def _rough(value: float) -> str:
    """Return a share for an axis: as many digits as its ticks need."""
    return f"{100 * value:.4g}%"
