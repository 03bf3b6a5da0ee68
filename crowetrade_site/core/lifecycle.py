"""Lifecycles as data: a table of allowed moves; framework-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from crowetrade_site.core.errors import IllegalTransition

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True)
class Lifecycle(Generic[State]):
    """The moves a thing may make.

    Parameters
    ----------
    name : str
        What moves, for the sentence of a refusal.
    moves : mapping of state to the set of states it may move to
        A state without moves is terminal. Every state must be a key.
    """

    name: str
    moves: Mapping[State, frozenset[State]]

    def allows(self, current: State, target: State) -> bool:
        """Return whether the table has the move."""
        return target in self.moves[current]

    def check(self, current: State, target: State) -> None:
        """Refuse a move the table does not have.

        Raises
        ------
        IllegalTransition
            Names the move and the moves there are (409).
        """
        if not self.allows(current, target):
            allowed = ", ".join(sorted(self.moves[current])) or "nothing, it is final"
            article = "An" if self.name[0] in "aeiou" else "A"
            raise IllegalTransition(
                f"{article} {self.name} cannot go from {current} to {target}; from {current} it "
                f"can go to: {allowed}."
            )

    @property
    def terminal(self) -> frozenset[State]:
        """The states with no way out."""
        return frozenset(state for state, targets in self.moves.items() if not targets)
