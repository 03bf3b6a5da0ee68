"""What honest statistics refuse, as one family."""


class StatisticsError(ValueError):
    """Base of everything that this package refuses."""


class SettingsError(StatisticsError):
    """A setting is outside its domain or contradicts another."""


class ShapeError(StatisticsError):
    """Arrays that belong together do not fit, or have the wrong number of dimensions."""


class SampleError(StatisticsError):
    """A sample has missing or infinite values."""


class NotComputedError(StatisticsError):
    """The sample does not determine a figure; the text completes "not computed, because"."""
