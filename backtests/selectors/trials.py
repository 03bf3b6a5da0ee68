"""The table of a study's trials, page by page, without ever holding more than a page of it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from backtests.models import Run
from backtests.selectors.progress import is_study
from backtests.selectors.runs import require_artifacts
from crowetrade_site.core import hints, pieces, storage
from crowetrade_site.core.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE = "trials.parquet"
MOST_ROWS = 500
FIRST = ("number", "parameters", "reason", "violation")
USUAL = (
    "total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover",
    "final_equity", "n_fills",
)  # fmt: skip


@dataclass(frozen=True)
class TrialPage:
    """Some trials of a study in an order, and how many there are in all."""

    n_trials: int
    rows: list[dict[str, Any]]


def list_trials(
    run: Run, *, order: str = "number", offset: int = 0, limit: int = 50,
    columns: Sequence[str] = (), is_feasible: bool | None = None,
) -> TrialPage:  # fmt: skip
    """Return a page of a study's trials.

    Parameters
    ----------
    order : str
        A column of numbers, with ``-`` for the highest first; equal ones by number, and trials
        without a value last.
    columns : sequence of str
        Columns beside number, parameters, objectives, reason and violation; a few usual ones by
        default, and all of them for ``all``.
    is_feasible : bool, optional
        Only trials that are, or that are not.

    Raises
    ------
    NotFound
        The run is no study (404).
    Conflict
        Its trials are not put together yet, or never will be (409).
    Gone
        They were removed (410).
    InvalidInput
        There is no such column (422).

    Notes
    -----
    Reads the column that orders, and those that tell feasible trials, whole: 8 bytes a trial each.
    Of the others only the row groups with rows of the page, one after the other. What is read is
    verified, piece by piece; a study of before there were pieces is verified whole.
    """
    import pyarrow.parquet as pq

    if not is_study(run):
        raise NotFound(f"A {run.kind} has no trials; only a study has.")
    if TABLE not in run.artifacts:
        raise Conflict(f"The study is {run.status}; its trials are not put together.")
    require_artifacts(run)
    with _source(run.artifacts[TABLE]) as source, pq.ParquetFile(source) as file:
        wanted = _wanted(file.schema_arrow, columns)
        places = _places(file, order, is_feasible)
        rows = _read(file, places[offset : offset + limit], wanted)
    return TrialPage(int(places.size), rows)


def _source(entry: Mapping[str, Any]) -> IO[bytes]:
    """Return the open table of trials, of which what is read is verified."""
    if "pieces" in entry:
        return cast("IO[bytes]", pieces.Pieces(entry["digest"], entry["pieces"]))
    return storage.stream(entry["digest"])


def _wanted(schema: Any, columns: Sequence[str]) -> list[str]:
    """Return the columns of a page in their order."""
    names: list[str] = list(schema.names)
    objectives = [name for name in names if name.startswith("objective_")]
    if "all" in columns:
        asked: Sequence[str] = names
    else:
        for name in columns:
            _require(name, names, "columns")
        asked = columns or [name for name in USUAL if name in names]
    return list(dict.fromkeys([*FIRST, *objectives, *asked]))


def _require(name: str, names: Sequence[str], within: str) -> None:
    if name not in names:
        raise InvalidInput(
            f"{within}: no column {name!r}{hints.nearest(name, names)}",
            errors=[{"path": within, "message": f"no column {name!r}"}],
        )


def _places(file: Any, order: str, is_feasible: bool | None) -> "NDArray[Any]":
    """Return the places of the rows of all pages, in the order asked for."""
    import numpy as np

    name = order.removeprefix("-")
    schema = file.schema_arrow
    numeric = [field.name for field in schema if field.name not in {"parameters", "reason"}]
    _require(name, numeric, "order")
    places = np.arange(file.metadata.num_rows)
    if is_feasible is not None:
        holds = (_column(file, "violation") == 0.0) & ~np.isnan(_column(file, "objective_0"))
        places = places[holds == is_feasible]
    if name == "number":  # the order of the rows
        return places[::-1] if order.startswith("-") else places
    keys = _column(file, name)[places]
    return places[np.argsort(-keys if order.startswith("-") else keys, kind="stable")]


def _column(file: Any, name: str) -> "NDArray[Any]":
    """Return a column of numbers, NaN where there is none, which sorts last either way."""
    import numpy as np

    table = file.read(columns=[name], use_threads=False)
    column: NDArray[Any] = table[name].to_numpy(zero_copy_only=False).astype(np.float64)
    return column


def _read(file: Any, places: "NDArray[Any]", columns: list[str]) -> list[dict[str, Any]]:
    """Return the rows at some places in their order, row group by row group."""
    import numpy as np
    import pyarrow as pa

    sizes = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    ends = np.cumsum(sizes)
    groups = np.searchsorted(ends, places, side="right")
    rows: dict[int, dict[str, Any]] = {}
    for group in np.unique(groups):
        mine = places[groups == group]
        table = file.read_row_group(int(group), columns=columns, use_threads=False)
        found = table.take(pa.array(mine - (ends[group] - sizes[group])))
        rows |= dict(zip(mine.tolist(), found.select(columns).to_pylist(), strict=True))
    return [_plain(rows[place]) for place in places.tolist()]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON can write it: what is not finite is null."""
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
    return plain | {"parameters": json.loads(row["parameters"])}
