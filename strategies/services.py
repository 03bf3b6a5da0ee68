"""What others may ask of strategies: today, whether a document is a valid spec."""

from collections.abc import Mapping
from typing import Any

from crowetrade_site.core import documents
from strategies.pipeline.spec import StrategySpec


def validate_spec(document: Mapping[str, Any]) -> StrategySpec:
    """Return the strategy a document describes, defaults filled in.

    Raises
    ------
    InvalidInput
        A key is unknown (the nearest known one is named) or a value is out of range (422).
    """
    return documents.parse(StrategySpec, document)
