"""Findings, the ledger that collects them while a file streams, and the report."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.codes import ACCEPTABLE, CODES, ERROR, INFO, WARNING
from backtests.marketdata.errors import DatasetRefused, OptionsError

if TYPE_CHECKING:
    import pandas as pd

MAX_EXAMPLES = 5
MAX_STAMPS = 64
NAT = np.iinfo(np.int64).min
_RANK = {ERROR: 0, WARNING: 1, INFO: 2}

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(slots=True)
class Finding:
    """One kind of fault in one instrument.

    Attributes
    ----------
    code : str
        Stable name, a key of `codes.CODES`.
    severity : {"error", "warning", "info"}
    symbol : str
        Empty where the finding concerns the file.
    count : int
        Rows (or events) concerned.
    n_refused : int
        Rows refused for it, of which nothing was found before: one with two faults counts once.
    examples : list of dict
        The first few: ``row`` (as `QualityReport.unit` counts), ``stamp`` (ISO), ``value``.
    sentence : str
        What is wrong and what to do.
    quarantinable : bool
        Its rows can be taken out.
    accepted : bool
        An error taken as a warning because the user said so.
    first_ns, last_ns : int or None
        First and last stamp concerned [ns UTC, the source's own label: the midnight of a date for
        daily bars]; None where no row is concerned, or none with a stamp.
    stamps : list of int
        The stamps concerned [ns UTC], up to `MAX_STAMPS`; all of them where there are `count`.
    spacing_ns : int
        Of ``gaps``: mean distance of the bars the calendar expects [ns]; 0 elsewhere.
    """

    code: str
    severity: str
    symbol: str
    count: int
    examples: list[dict[str, Any]]
    sentence: str
    quarantinable: bool = True
    accepted: bool = False
    first_ns: int | None = None
    last_ns: int | None = None
    stamps: list[int] = field(default_factory=list)
    spacing_ns: int = 0
    n_refused: int = 0

    def concern(self, stamps: Int64Array) -> None:
        """Note the stamps of rows concerned; those missing are left out."""
        known = stamps[stamps != NAT]
        if not known.size:
            return
        first, last = int(known.min()), int(known.max())
        self.first_ns = first if self.first_ns is None else min(self.first_ns, first)
        self.last_ns = last if self.last_ns is None else max(self.last_ns, last)
        self.stamps.extend(int(s) for s in known[: MAX_STAMPS - len(self.stamps)])


@dataclass(slots=True)
class QualityReport:
    """What was found in a file.

    Attributes
    ----------
    source : str
        File name.
    unit : {"line", "row"}
        How examples count: lines of a text file from 1 with its header, or rows from 0.
    n_source_rows : int
        Data rows of the file.
    n_rows : int
        Observations considered: rows of a long file, non-empty cells of a wide one, after
        `where` and the date range. Always ``n_accepted + n_refused``.
    n_accepted, n_refused : int
        Rows without a fault and with one, whether the file was taken or not; what is refused adds
        up over the findings.
    findings : list of Finding
        Gravest first.
    survivors : bool
        The panel holds no instrument that ever stops being quoted.
    """

    source: str
    n_source_rows: int = 0
    n_rows: int = 0
    n_accepted: int = 0
    n_refused: int = 0
    findings: list[Finding] = field(default_factory=list)
    survivors: bool = False
    unit: Literal["line", "row"] = "line"

    @property
    def errors(self) -> list[Finding]:
        """The findings that refuse a file."""
        return [f for f in self.findings if f.severity == ERROR]

    @property
    def headline(self) -> str:
        """One line naming the gravest finding, its first row and value."""
        if not self.findings:
            return f"{self.source}: nothing found."
        top = self.findings[0]
        more = len(self.errors) - 1
        name = f"{self.source}{', ' + top.symbol if top.symbol else ''}"
        tail = f" And {more} more error{'s' if more > 1 else ''}." if more > 0 else ""
        return f"{name}: {top.sentence}{_first_example(top, self.unit)}{tail}"

    def faults(self) -> list[dict[str, str]]:
        """Return each error as a fault of a request's ``file``: what is wrong, and where first."""
        told = [
            (f"{f.symbol}: " if f.symbol else "") + f.sentence + _first_example(f, self.unit)
            for f in self.errors
        ]
        return [{"path": "file", "message": text} for text in told]

    def count(self, code: str, symbol: str | None = None) -> int:
        """Return how many rows a code concerns, over all instruments or one."""
        return sum(f.count for f in self.findings if f.code == code and symbol in (None, f.symbol))

    def find(self, code: str, symbol: str | None = None) -> list[Finding]:
        """Return the findings of one code."""
        return [f for f in self.findings if f.code == code and symbol in (None, f.symbol)]

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain JSON values; examples say ``line``, or ``row`` (from 0)."""
        document = asdict(self)
        for finding in document["findings"]:
            finding["examples"] = [_placed(one, self.unit) for one in finding["examples"]]
        return document


def _placed(shown: dict[str, Any], unit: str) -> dict[str, Any]:
    return {unit if name == "row" else name: value for name, value in shown.items()}


def _first_example(finding: Finding, unit: str) -> str:
    if not finding.examples:
        return ""
    first = _placed(finding.examples[0], unit)
    if "row" in first:
        first["row"] = f"{first['row']} (counted from 0)"
    shown = [f"{name} {value}" for name, value in first.items() if value not in ("", None)]
    return f" First: {', '.join(shown)}."


@dataclass(slots=True)
class Marks:
    """Where rows stand: parallel arrays of row number, stamp [ns] and symbol index."""

    rows: Int64Array
    stamps: Int64Array
    syms: NDArray[np.int32]


class Ledger:
    """Collects findings and refused rows of one import; memory grows with the faults only."""

    def __init__(self, source: str, accept: tuple[str, ...] = ()) -> None:
        for code in accept:
            if code not in ACCEPTABLE:
                raise OptionsError(
                    f"accept={code!r} is not an error that can be accepted; those are "
                    + ", ".join(sorted(ACCEPTABLE))
                )
        self.report = QualityReport(source)
        self.symbols: list[str] = []
        self._accept = accept
        self._found: dict[tuple[str, str, bool], Finding] = {}
        self._refused: list[tuple[Int64Array, NDArray[np.int32], str]] = []

    def severity(self, code: str) -> str:
        """Return a code's severity, lowered where the user accepts it."""
        return WARNING if code in self._accept else CODES[code].severity

    def flag(
        self, code: str, marks: Marks, mask: BoolArray, values: NDArray[Any] | None = None
    ) -> BoolArray:
        """Record the masked rows under a code and return the mask of those refused for it."""
        if not mask.any():
            return mask
        picked = np.flatnonzero(mask)
        syms = marks.syms[picked]
        for sym in np.unique(syms):
            own = picked[syms == sym]
            finding = self._finding(code, self._name(int(sym)), {})
            self._show(finding, marks, own, values)
        if self.severity(code) != ERROR:
            return np.zeros_like(mask)
        self._refused.append((marks.rows[picked], syms, code))
        return mask

    def note(
        self,
        code: str,
        count: int,
        *,
        symbol: str = "",
        detail: str = "",
        examples: list[dict[str, Any]] | None = None,
        stamps: Int64Array | None = None,
        is_proven: bool = False,
        **facts: object,
    ) -> Finding:
        """Record a finding about an instrument or the file that refuses no single row.

        A suspicion that is proven is an error whatever its code's severity, and no quarantine
        mends it; it is kept apart from the unproven ones of the same code.
        """
        finding = self._finding(code, symbol, facts, is_proven=is_proven)
        finding.count += count
        if stamps is not None:
            finding.concern(stamps)
        finding.examples.extend((examples or [])[: MAX_EXAMPLES - len(finding.examples)])
        if detail:
            finding.sentence = detail
        return finding

    def report_findings(self, code: str) -> list[Finding]:
        """Return the findings of a code recorded so far, open to rewording."""
        return [f for (known, *_), f in self._found.items() if known == code]

    def refusal(self, code: str, sentence: str) -> DatasetRefused:
        """Return the refusal of the whole file, for the caller to raise."""
        finding = Finding(code, ERROR, "", 1, [], sentence, quarantinable=False)
        self._found[(code, "\0", False)] = finding
        self.settle()
        self.report.findings.sort(key=lambda f: f is not finding)
        return DatasetRefused(self.report)

    def refused(self) -> pd.DataFrame:
        """Return the refused rows, each once with its first reason: row, sym, code."""
        import pandas as pd

        if not self._refused:
            return pd.DataFrame({"row": [], "sym": [], "code": []})
        frame = pd.concat(
            pd.DataFrame({"row": rows, "sym": syms, "code": code})
            for rows, syms, code in self._refused
        )
        return frame.drop_duplicates(["row", "sym"]).sort_values(["row", "sym"], kind="stable")

    def settle(self) -> QualityReport:
        """Count, word and sort the findings."""
        report = self.report
        refused = self.refused()
        report.n_refused = len(refused)
        report.n_accepted = report.n_rows - report.n_refused
        by_reason = Counter(zip(refused["code"], refused["sym"], strict=True))
        for (code, sym), n_rows in by_reason.items():
            self._found[code, self._name(int(sym)), False].n_refused = n_rows
        report.findings = sorted(
            self._found.values(), key=lambda f: (_RANK[f.severity], -f.count, f.code, f.symbol)
        )
        for finding in report.findings:
            finding.sentence = finding.sentence.replace("{n}", f"{finding.count:,}")
        return report

    def judge(self, *, quarantine: bool) -> QualityReport:
        """Settle the report and refuse the file if its errors demand it.

        Raises
        ------
        DatasetRefused
            There is an error and no quarantine, or one that quarantine cannot mend.
        """
        report = self.settle()
        if any(not (quarantine and f.quarantinable) for f in report.errors):
            raise DatasetRefused(report)
        return report

    def _name(self, sym: int) -> str:
        return self.symbols[sym] if 0 <= sym < len(self.symbols) else ""

    def _finding(
        self, code: str, symbol: str, facts: dict[str, object], *, is_proven: bool = False
    ) -> Finding:
        key = (code, symbol, is_proven)
        if key not in self._found:
            known = CODES[code]
            text = known.text
            for name, value in facts.items():
                text = text.replace("{" + name + "}", str(value))
            sentence = f"{text}; {known.advice}." if known.advice else f"{text}."
            grave = ERROR if is_proven else known.severity
            accepted = grave == ERROR and code in self._accept
            severity, removable = WARNING if accepted else grave, known.quarantinable
            self._found[key] = Finding(
                code, severity, symbol, 0, [], sentence, removable and not is_proven, accepted
            )
        return self._found[key]

    def _show(
        self, finding: Finding, marks: Marks, own: NDArray[np.intp], values: NDArray[Any] | None
    ) -> None:
        finding.count += own.size
        finding.concern(marks.stamps[own])
        for i in own[: MAX_EXAMPLES - len(finding.examples)]:
            value = None if values is None else values[i]
            finding.examples.append(example(marks.rows[i], marks.stamps[i], value))


def example(row: int, stamp: int, value: object = None) -> dict[str, Any]:
    """Return one example of a finding in plain JSON values."""
    import pandas as pd

    moment = "" if stamp == NAT else pd.Timestamp(int(stamp), unit="ns").isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        value = f"{value:.10g}"
    return {"row": int(row), "stamp": moment, "value": "" if value is None else str(value)}
