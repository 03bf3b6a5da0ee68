"""Differences of arms whose units report again and again: the unit is what chance assigned.

What a unit is like stays with it, so that its outcomes are no new evidence each; and outcomes of
one period share its shocks. The error counts both, by clusters in two ways: by unit, from sums
over units of the products of their totals, and by period; what is in both, by cells of a unit and a
period. Nothing here sees a unit: the sums merge.

What a unit's late outcome adds to its products counts from the unit's newest period on. So the
difference at a look is made of the same sums as the products are; shocks of periods are those of
the periods that outcomes belong to.
"""

from experiments.statistics.clusters.differences import (
    FEWEST_EFFECTIVE,
    FEWEST_UNITS,
    ClusteredLooks,
    clustered_differences,
)
from experiments.statistics.clusters.means import clustered_means
from experiments.statistics.clusters.products import product_steps
from experiments.statistics.clusters.tables import UNIT_SUMS, UnitTable

__all__ = [
    "FEWEST_EFFECTIVE",
    "FEWEST_UNITS",
    "UNIT_SUMS",
    "ClusteredLooks",
    "UnitTable",
    "clustered_differences",
    "clustered_means",
    "product_steps",
]
