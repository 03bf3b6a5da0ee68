"""What was seen of an experiment: sums, never a single outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from experiments.statistics.clusters import UnitTable
from experiments.statistics.sketches import QuantileSketch
from experiments.statistics.summaries import PeriodTable


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of an experiment so far.

    Attributes
    ----------
    tables : mapping of str to PeriodTable
        By metric.
    units : mapping of str to UnitTable
        By metric, where units may report in several periods.
    sketches : mapping of str to sequence of QuantileSketch
        Of quantile metrics, one an arm.
    exposed : mapping of int to mapping of int to int
        Units by allocation number and position of the arm.
    weights : mapping of int to sequence of float
        Shares of the arms by allocation number.
    contexts : mapping of int to str
        Context of the shares by allocation number; the empty name where they depend on none.
    watermark : int or None
        Periods that end by then are analyzed [UTC ns]; all where None.
    silent : sequence of str
        Metrics and arms of which nothing has come while others reported.
    """

    tables: Mapping[str, PeriodTable]
    units: Mapping[str, UnitTable] = field(default_factory=dict)
    sketches: Mapping[str, Sequence[QuantileSketch]] = field(default_factory=dict)
    exposed: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    weights: Mapping[int, Sequence[float]] = field(default_factory=dict)
    contexts: Mapping[int, str] = field(default_factory=dict)
    watermark: int | None = None
    silent: Sequence[str] = ()
    n_late: int = 0

    def numbers_of(self, context: str) -> list[int]:
        """Return the numbers of the allocations of a context, ascending."""
        return sorted(number for number, value in self.contexts.items() if value == context)

    def within(self, context: str) -> "Observed":
        """Return what was seen of the units that came in a context; sketches have none."""
        numbers = self.numbers_of(context)
        return replace(
            self,
            tables={name: table.of_allocations(numbers) for name, table in self.tables.items()},
            units={name: table.of_allocations(numbers) for name, table in self.units.items()},
            sketches={},
            exposed={n: self.exposed[n] for n in numbers if n in self.exposed},
            weights={n: self.weights[n] for n in numbers if n in self.weights},
            contexts=dict.fromkeys(numbers, ""),
        )

    @property
    def n_exposed(self) -> int:
        """Units that met an arm."""
        return sum(n for by_arm in self.exposed.values() for n in by_arm.values())
