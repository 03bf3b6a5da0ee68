"""What something is by the names of its classes, without importing where they come from."""

from typing import Any


def kind_of(one: Any) -> str:
    """Return the full name of the class of something."""
    return f"{type(one).__module__}.{type(one).__name__}"


def kinds_of(one: Any) -> set[str]:
    """Return the full names of its class and of all that it is built on."""
    return {f"{kind.__module__}.{kind.__name__}" for kind in type(one).__mro__}
