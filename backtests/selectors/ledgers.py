"""A run's fills, trades and costs as tables of its page."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from backtests.models import Run
from backtests.selectors.figures import write_share, write_time
from crowetrade_site.core import storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, "NDArray[Any]"]

LATEST = 50
DAY_SECONDS = 86_400
MINUTE_NS = 60_000_000_000
# Kinds of cost in the order of the page; those of the fills are columns of the tables.
OF_FILLS = ("commission", "half_spread", "slippage", "impact", "tax", "conversion")
FINANCING = ("borrow", "interest_paid")
LABELS = {"borrow": "Borrow fee", "interest_paid": "Interest paid"}


def clock_of(run: Run) -> str:
    """Return how the tables write a moment, in Django's letters: to the second if bars need it."""
    content = run.dataset.manifest["content"]
    is_fine = content["kind"] == "quotes" or 0 < content["bar_ns"] < MINUTE_NS
    return "Y-m-d H:i:s" if is_fine else "Y-m-d H:i"


def label_of_cost(kind: str) -> str:
    """Return the name of a kind of cost as people read it."""
    return LABELS.get(kind, kind.replace("_", " ").capitalize())


def list_costs(run: Run) -> list[dict[str, Any]]:
    """Return the kinds of cost that occurred in a run, with label and amount."""
    costs = run.summary["costs"]
    return [
        {"kind": kind, "label": label_of_cost(kind), "amount": f"{costs[kind]:,.2f}"}
        for kind in (*OF_FILLS, *FINANCING)
        if costs.get(kind)
    ]


def total_cost(run: Run) -> float:
    """Return all that was paid, financing included [currency]."""
    return float(sum(run.summary["costs"].values()))


def accumulated_costs(curves: "Columns") -> "Columns":
    """Return the running total of each kind of cost that occurred."""
    import numpy as np

    series = {name: curves[name] for name in (*OF_FILLS, "borrow") if name in curves}
    if "interest" in curves:
        series["interest_paid"] = np.maximum(-curves["interest"], 0.0)
    return {name: np.cumsum(paid) for name, paid in series.items() if np.any(paid)}


def kinds_of_fills(run: Run) -> list[str]:
    """Return the kinds of cost that some fill of a run paid."""
    return [kind for kind in OF_FILLS if run.summary["costs"].get(kind)]


def latest_fills(run: Run) -> list[dict[str, Any]]:
    """Return the last fills, latest first: each cost that occurred in the run, and their sum."""
    kinds = kinds_of_fills(run)
    return [
        row
        | {
            "costs": [row[kind] for kind in kinds],
            "cost": sum(row[kind] for kind in kinds),
        }
        for row in _last_rows(run, "fills.parquet")
    ]


def latest_trades(run: Run) -> list[dict[str, Any]] | None:
    """Return the last round trips, those still open first; None for a run that kept none."""
    if "trades.parquet" not in run.artifacts:
        return None
    return [_trade(row, run) for row in _last_rows(run, "trades.parquet")]


def _trade(row: dict[str, Any], run: Run) -> dict[str, Any]:
    share = row["pnl"] / row["entry_notional"] if row["entry_notional"] else None
    held = ((row["exit_ts"] or _end_of(run)) - row["ts"]).total_seconds() / DAY_SECONDS
    return row | {
        "share": share,
        "share_text": "–" if share is None else write_share(share),
        "held": held,
        "held_text": write_time(held),
    }


def _end_of(run: Run) -> datetime:
    """Return the moment of a run's last bar, at which open trades are valued."""
    return datetime.fromisoformat(run.summary["last_at"])


def _last_rows(run: Run, name: str) -> list[dict[str, Any]]:
    """Return the last rows of one of a run's tables, latest first, reading its end alone."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(storage.locate(run.artifacts[name]["digest"]))
    n_groups = file.num_row_groups
    table = file.read_row_groups(list(range(max(0, n_groups - 2), n_groups)))
    rows: list[dict[str, Any]] = table.slice(max(0, table.num_rows - LATEST)).to_pylist()
    return rows[::-1]
