"""How sound a dataset is, in the figures that gates set bounds to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backtests.marketdata.codes import ERROR, INFO, WARNING


def quality_figures(report: Mapping[str, Any], kind: str, n_instruments: int) -> dict[str, Any]:
    """Return what a stored quality report says of a whole dataset, as numbers.

    Parameters
    ----------
    report : mapping
        A stored `QualityReport.to_json()`.
    kind : str
        Of the dataset: bars, quotes or trades.
    n_instruments : int
        Of the dataset, >= 1.

    Returns
    -------
    dict
        Findings are counted by code and instrument. Errors of a dataset are faults whose rows were
        taken out (``n_refused``), ``n_accepted_errors`` those that somebody took as warnings.
        ``n_missing_bars`` and ``missing_share`` [fraction of the bars that the calendar expects]
        are left out where no calendar was stated, since nobody looked: not looked is not none.
        Empty where the report names no findings at all.
    """
    if "findings" not in report:
        return {}
    findings = report["findings"]
    by_severity = {grade: [f for f in findings if f["severity"] == grade] for grade in _GRADES}
    graver = {f["symbol"] for f in [*by_severity[ERROR], *by_severity[WARNING]]} - {""}
    n_rows, n_refused = int(report["n_rows"]), int(report["n_refused"])
    figures: dict[str, Any] = {
        "n_errors": len(by_severity[ERROR]),
        "n_warnings": len(by_severity[WARNING]),
        "n_infos": len(by_severity[INFO]),
        "n_accepted_errors": sum(bool(f.get("accepted")) for f in findings),
        "n_rows": n_rows,
        "n_refused": n_refused,
        "n_instruments": n_instruments,
        "n_instruments_with_faults": len(graver),
        "is_of_survivors": int(bool(report.get("survivors"))),
    }
    if n_rows:
        figures["refused_share"] = n_refused / n_rows
    if kind == "bars" and all(f["code"] != "no_calendar" for f in findings):
        n_missing = sum(int(f["count"]) for f in findings if f["code"] == "gaps")
        n_expected = n_missing + int(report["n_accepted"])
        figures["n_missing_bars"] = n_missing
        if n_expected:
            figures["missing_share"] = n_missing / n_expected
    return figures


_GRADES = (ERROR, WARNING, INFO)
