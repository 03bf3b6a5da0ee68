"""How many bars of a dataset a year has, where its manifest can tell."""

from __future__ import annotations

from backtests.marketdata.calendars import DAYS_PER_YEAR, get_calendar
from backtests.marketdata.errors import OptionsError
from backtests.marketdata.manifest import Manifest
from backtests.marketdata.stamps import DAY_NS

# Below two weeks the count of bars says little about a year.
MIN_SPAN_NS = 14 * DAY_NS
EXCESS = 1.05


def periods_per_year(manifest: Manifest) -> float | None:
    """Return how many bars a year has, for annualizing.

    Parameters
    ----------
    manifest : Manifest

    Returns
    -------
    float or None
        Sessions a year of the calendar over the data's years, times the bars begun in a session
        when these are shorter than a day; 365.25 for daily bars of a market that never closes.
        None without a calendar, without a bar length, or for anything but bars.

    Notes
    -----
    Where the data hold over 5 % more bars than the calendar's sessions ask for (bars before and
    after trading hours, a Sunday's short bar), the bars that are there are counted instead: a
    figure is annualized by the bars it is made of. Bars missing do not lower the count.
    """
    if manifest.kind != "bars" or not manifest.calendar or not manifest.bar_ns:
        return None
    try:
        calendar = get_calendar(manifest.calendar, manifest.first, manifest.last)
    except OptionsError:  # a calendar that this installation does not know (any more)
        return None
    if calendar is None:
        return None
    nominal = calendar.periods_per_year(manifest.bar_ns)
    observed = observed_per_year(manifest)
    return observed if observed > EXCESS * nominal else nominal


def observed_per_year(manifest: Manifest) -> float:
    """Return the stamps a year that the data hold, 0 where they span less than two weeks."""
    span = manifest.last - manifest.first
    if span < MIN_SPAN_NS:
        return 0.0
    return (manifest.n_rows - 1) * DAYS_PER_YEAR * DAY_NS / span
