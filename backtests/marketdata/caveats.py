"""What a reader of a run must know about the data it was made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backtests.marketdata.calendars import DAYS_PER_YEAR
from backtests.marketdata.codes import CODES, ERROR
from backtests.marketdata.currencies import quote_currency
from backtests.marketdata.manifest import Manifest
from backtests.marketdata.periods import observed_per_year
from backtests.marketdata.stamps import DAY_NS

MAX_NAMED = 3
# Missing bars below this share of the window change no figure worth reading.
MATERIAL_GAPS = 0.01
WEEKDAYS_PER_YEAR = DAYS_PER_YEAR * 5 / 7

Caveat = dict[str, str]

# In the order of their weight; {names} and {n} are filled in.
TEXTS = {
    "unbooked_split": "{n} moves of {names} look like splits that no action column books, {proven} "
    "of them proven by adj_close: unless a move is real, returns across it are false",
    "split_misapplied": "{n} moves of {names} beside a booked split look as if it was missed or "
    "applied twice: returns across them may be false",
    "split_double": "{n} booked splits of {names} do not show in the prices and may be counted "
    "twice",
    "unit_switch": "the price level of {names} changes by a factor and stays, as after a change "
    "of unit or currency: returns across it may be false",
    "spike": "{n} prices of {names} leap by a factor and come back: fills at them are not real",
    "currency_mismatch": "{names} are quoted in a currency other than the dataset's: profits are "
    "added up as if they were in one",
    "dividend_unit": "dividends of {names} before {n} splits seem to be per share of their own "
    "day, not per share as quoted: income from them may be overstated",
    "huge_dividend": "{n} dividends of {names} are above 20% of the price, perhaps spin-offs or "
    "splits booked as cash: they are paid out as cash here",
    "repeated_dividend": "{n} dividends of {names} repeat one of a few days before: one of each "
    "two may be false income",
    "adj_close_inconsistent": "{n} rows of adj_close of {names} move unlike the booked splits and "
    "dividends: one of the two is wrong there",
    "jump": "{n} lone jumps of {names} are far outside their usual moves and were not confirmed",
    "clock_shift": "{n} bars of {names} lie in weeks whose clock is shifted: they are known at "
    "another hour than stated",
    "outside_sessions": "{n} bars of {names} lie outside the market's sessions, where fills may "
    "not be had",
    "gaps": "{n} bars of {names} are missing while the market was open, over 1% of this window",
}


@dataclass(frozen=True, slots=True)
class _Hit:
    code: str
    symbol: str
    count: int
    is_accepted: bool


def caveats_for(
    report: Mapping[str, Any], symbols: Sequence[str], first_ns: int, last_ns: int
) -> list[Caveat]:
    """Return what a quality report means for a run on some instruments and one window.

    Parameters
    ----------
    report : mapping
        A stored `QualityReport.to_json()`; findings of older reports, which hold no stamps,
        concern every window.
    symbols : sequence of str
        The instruments of the run.
    first_ns, last_ns : int
        First and last bar of the run [ns UTC].

    Returns
    -------
    list of dict
        ``code`` and ``text``, one sentence per code, gravest first. Counts are of rows inside the
        window where the report still knows each one's stamp, of all rows of the finding where
        there were too many to keep.

    Notes
    -----
    Findings carry the source's own labels, at most a day before the moment a bar is known, so the
    window is taken from the beginning of its first day. Errors that were accepted are named even
    where their code is no caveat otherwise; rows taken out are counted by fault.
    """
    wanted = set(symbols)
    start = first_ns - first_ns % DAY_NS
    findings = [f for f in report.get("findings", ()) if f.get("symbol", "") in wanted | {""}]
    caveats = _survivors(report)
    hits: dict[str, list[_Hit]] = {}
    for finding in findings:
        group = _group(finding)
        count = _count_inside(finding, start, last_ns)
        if not group or not count or (group == "gaps" and not _material(finding, start, last_ns)):
            continue
        accepted = bool(finding.get("accepted"))
        hit = _Hit(finding["code"], finding.get("symbol", ""), count, accepted)
        hits.setdefault(group, []).append(hit)
    order = [*TEXTS, *sorted(set(hits) - set(TEXTS) - {"quarantined"}), "quarantined"]
    return caveats + [_caveat(group, hits[group]) for group in order if group in hits]


def _group(finding: Mapping[str, Any]) -> str:
    """Return the caveat a finding belongs to, empty for none."""
    code, severity = str(finding["code"]), finding["severity"]
    if severity == ERROR:
        # A dataset exists, so its errors are those whose rows were taken out.
        return "quarantined"
    known = CODES.get(code)
    accepted = finding.get("accepted", known is not None and known.severity == ERROR)
    return code if code in TEXTS or accepted else ""


def _count_inside(finding: Mapping[str, Any], start: int, end: int) -> int:
    """Count a finding's rows inside a window, all of them where their stamps are not kept."""
    count, stamps = int(finding["count"]), finding.get("stamps") or []
    first, last = finding.get("first_ns"), finding.get("last_ns")
    if first is None or last is None:
        return count
    if last < start or first > end:
        return 0
    if len(stamps) == count:
        return sum(start <= s <= end for s in stamps)
    return count


def _material(finding: Mapping[str, Any], start: int, end: int) -> bool:
    """Whether the bars missing in a window are a share of it worth telling."""
    spacing, count = int(finding.get("spacing_ns") or 0), int(finding["count"])
    first, last = finding.get("first_ns"), finding.get("last_ns")
    if not spacing or first is None or last is None:
        return True
    missing = float(_count_inside(finding, start, end))
    if len(finding.get("stamps") or []) != count:
        # Only their ends are known: take the missing bars as spread evenly between them.
        overlap = min(end, last) - max(start, first)
        missing = count * overlap / max(1, last - first)
    return missing * spacing >= MATERIAL_GAPS * max(end - start, spacing)


def _survivors(report: Mapping[str, Any]) -> list[Caveat]:
    if not report.get("survivors"):
        return []
    found = [f["sentence"] for f in report.get("findings", ()) if f["code"] == "survivors"]
    text = found[0].split(";", 1)[0].rstrip(".") if found else "the dataset holds survivors only"
    return [{"code": "survivors", "text": _sentence(text)}]


def _caveat(group: str, hits: Sequence[_Hit]) -> Caveat:
    names, n = _names(hits), f"{sum(h.count for h in hits):,}"
    if group == "quarantined":
        by_code: dict[str, int] = {}
        for hit in hits:
            by_code[hit.code] = by_code.get(hit.code, 0) + hit.count
        kinds = ", ".join(f"{code} {count:,}" for code, count in by_code.items())
        text = f"rows of {names} were taken out at import for {n} faults ({kinds}): bars are absent"
    elif group in TEXTS:
        proven = sum(h.count for h in hits if h.is_accepted)
        text = TEXTS[group].replace("{proven}", f"{proven:,}" if proven else "none")
        text = text.replace("{names}", names).replace("{n}", n)
    else:
        what = CODES[group].text.replace("{n}", n) if group in CODES else f"{n} rows: {group}"
        text = f"an error accepted at import remains in {names}: {what}"
    return {"code": group, "text": _sentence(text)}


def _names(hits: Sequence[_Hit]) -> str:
    """Return how many instruments are concerned, and those that are most."""
    counts: Counter[str] = Counter()
    for hit in hits:
        counts[hit.symbol] += hit.count
    # what is of no instrument is of the file as a whole, which is none of them
    is_of_file = bool(counts.pop("", 0))
    shown = ", ".join(name for name, _ in counts.most_common(MAX_NAMED))
    more = len(counts) - MAX_NAMED
    named = f"{len(counts)} instruments ({shown} and {more} more)" if more > 0 else shown
    return " and ".join(part for part in (named, "the file" if is_of_file else "") if part)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def facts_for(manifest: Manifest) -> list[Caveat]:
    """Return what the meaning of a dataset's prices implies for any run on it.

    Returns
    -------
    list of dict
        ``code`` ("adjusted_prices", "no_dividends", "no_currency") and ``text``.
    """
    facts = []
    if manifest.prices == "adjusted":
        facts.append({"code": "adjusted_prices", "text": _adjusted_text(manifest)})
    elif _lacks_dividends(manifest):
        facts.append(
            {
                "code": "no_dividends",
                "text": "The dataset books no dividends: returns leave them out.",
            }
        )
    if not manifest.currency:
        facts.append(
            {
                "code": "no_currency",
                "text": "The dataset states no currency: its prices are taken to be in the run's.",
            }
        )
    return facts


def _adjusted_text(manifest: Manifest) -> str:
    text = (
        "Prices are adjusted for splits and dividends: fills are at adjusted prices, so "
        "quantities, and costs per share, are not those of the day"
    )
    if "volume" in manifest.fields and manifest.source.get("options", {}).get("adjust_by"):
        text += "; volume is not adjusted"
    return f"{text}."


def _lacks_dividends(manifest: Manifest) -> bool:
    """Whether daily bars that look like shares or funds come without a dividend column."""
    if manifest.kind != "bars" or manifest.bar_ns != DAY_NS or "dividend" in manifest.fields:
        return False
    if manifest.calendar in ("24/7", "fx") or any(quote_currency(s) for s in manifest.symbols):
        return False
    # Without a calendar, a week of five days tells shares from what trades around the clock.
    return bool(manifest.calendar) or observed_per_year(manifest) <= 1.02 * WEEKDAYS_PER_YEAR
