"""Parameter search over paths of a document, in generations that depend on results alone."""

from backtests.search.dimensions import Range
from backtests.search.document import KINDS, SearchDocument, parse
from backtests.search.errors import (
    DocumentError,
    ExpressionError,
    PathError,
    ResultsError,
    SearchError,
    SpaceError,
    UnsatisfiableError,
)
from backtests.search.folding import FoldedSearch, plan_in_folds
from backtests.search.grid import Grid
from backtests.search.halving import Rung, schedule, survivors
from backtests.search.parameters import apply, digest
from backtests.search.planning import plan
from backtests.search.searching import Search
from backtests.search.space import Space, build_space
from backtests.search.trials import Goals, Result, Trial

__all__ = [
    "KINDS",
    "DocumentError",
    "ExpressionError",
    "FoldedSearch",
    "Goals",
    "Grid",
    "PathError",
    "Range",
    "Result",
    "ResultsError",
    "Rung",
    "Search",
    "SearchDocument",
    "SearchError",
    "Space",
    "SpaceError",
    "Trial",
    "UnsatisfiableError",
    "apply",
    "build_space",
    "digest",
    "parse",
    "plan",
    "plan_in_folds",
    "schedule",
    "survivors",
]
