"""What inference for experiments refuses, as one family."""


class StatisticsError(ValueError):
    """Base of everything that this package refuses."""


class SettingsError(StatisticsError):
    """A setting is outside its domain or contradicts another."""


class ShapeError(StatisticsError):
    """Arrays that belong together do not fit, or have the wrong number of dimensions."""


class SampleError(StatisticsError):
    """A sample has values that cannot be: missing, infinite, or 0.5 of a yes-or-no metric."""


class NotComputedError(StatisticsError):
    """The sample does not determine a figure; the text completes "not computed, because"."""
