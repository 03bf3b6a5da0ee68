"""What the engine refuses, as one family."""

import numpy as np


class EngineError(ValueError):
    """Base of everything the engine refuses."""


class SettingsError(EngineError):
    """A setting is outside its domain or contradicts another."""


class ShapeError(EngineError):
    """Two arrays that belong together do not fit, or hold the wrong type."""


class TargetsError(EngineError):
    """A target is infinite."""


class OrderError(EngineError):
    """An order that means nothing: an unknown instrument, no quantity, a missing price."""


class StrategyError(EngineError):
    """A strategy that is asked at every bar raised, or answered what nobody can carry out.

    Attributes
    ----------
    bar : int
        Row of the bar at which it was asked.
    at : str
        Its stamp, ISO 8601, UTC.
    """

    def __init__(self, problem: str, *, bar: int, ts: int) -> None:
        self.bar = bar
        self.at = iso_stamp(ts)
        super().__init__(f"Bar {bar} ({self.at}): {problem}")


class BarError(EngineError):
    """A bar contradicts itself or its neighbors.

    Attributes
    ----------
    bar : int
        Row of the first offending bar.
    at : str
        Its stamp, ISO 8601, UTC.
    symbol : str or None
        The instrument; None when the stamp itself is at fault.
    """

    def __init__(self, problem: str, *, bar: int, ts: int, symbol: str | None = None) -> None:
        self.bar = bar
        self.at = iso_stamp(ts)
        self.symbol = symbol
        whose = f" of {symbol}" if symbol is not None else ""
        super().__init__(f"Bar {bar} ({self.at}){whose}: {problem}.")


class UnsortedStampsError(BarError):
    """A stamp is not later than the one before it."""


class PartialBarError(BarError):
    """Some prices of a bar are present and some are missing."""


class InvalidPriceError(BarError):
    """A price is infinite, zero or negative."""


class InconsistentBarError(BarError):
    """Low, high, open and close contradict each other."""


class InvalidVolumeError(BarError):
    """A volume is negative, infinite, or missing where the instrument traded."""


class InvalidActionError(BarError):
    """A split ratio, a dividend or a half spread is outside its domain."""


def iso_stamp(ts: int) -> str:
    """Return an int64 nanosecond UTC stamp as ISO 8601 text."""
    return f"{np.datetime64(int(ts), 'ns')}Z"
