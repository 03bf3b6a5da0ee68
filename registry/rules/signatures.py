"""What goes into a model and what comes out, as MLflow describes it."""

from collections.abc import Mapping
from typing import Any

from registry.rules.errors import RuleError

PARTS = ("inputs", "outputs")


def require_signature(signature: Mapping[str, Any]) -> None:
    """Refuse a signature whose inputs or outputs are no list of described columns or tensors.

    One that says nothing passes: it may be in the files.

    Raises
    ------
    RuleError
        Names the part.
    """
    for part in PARTS:
        described = signature.get(part)
        if described is not None and not _is_list_of_objects(described):
            raise RuleError(
                f"The signature's {part} are no list of objects, such as "
                '[{"name": "close", "type": "double"}].'
            )


def is_described(signature: Mapping[str, Any]) -> bool:
    """Say whether a signature describes at least one input and one output."""
    return all(bool(signature.get(part)) and _is_list_of_objects(signature[part]) for part in PARTS)


def _is_list_of_objects(part: Any) -> bool:
    return isinstance(part, list | tuple) and all(isinstance(one, Mapping) and one for one in part)
