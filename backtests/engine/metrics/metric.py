"""A metric that says what it is, and why when it is not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backtests.engine.errors import EngineError


class NotComputedError(EngineError):
    """The inputs do not determine a metric; the text completes "not computed, because"."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    Attributes
    ----------
    name : str
    value : float or None
        Finite; None when it could not be computed.
    reason : str
        Empty, or ``not computed, because ...``.
    unit : str
        "fraction", "ratio", "per year", "days", "periods", "trades", "currency", "bps",
        "probability".
    definition : str
        One sentence that fixes the convention.
    """

    name: str
    value: float | None
    reason: str
    unit: str
    definition: str

    @property
    def is_computed(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


@dataclass(frozen=True)
class Metrics(Mapping[str, Metric]):
    """Metrics by name, with the annualization they share.

    Attributes
    ----------
    periods_per_year : float or None
        Bars per year used for every annual figure; None when unknown.
    periods_rule : str
        How that number was found.
    """

    by_name: Mapping[str, Metric]
    periods_per_year: float | None
    periods_rule: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", MappingProxyType(dict(self.by_name)))

    def __getitem__(self, name: str) -> Metric:
        return self.by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_name)

    def __len__(self) -> int:
        return len(self.by_name)

    def values_by_name(self) -> dict[str, float | None]:
        """Return the bare figures, None where not computed."""
        return {name: metric.value for name, metric in self.by_name.items()}


def require(condition: bool, because: str) -> None:
    """Raise `NotComputedError` unless the condition holds."""
    if not condition:
        raise NotComputedError(because)
