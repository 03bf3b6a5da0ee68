"""Rewards that come later: which decision waits, with what probability it was made.

A policy learns a reward whenever `update` is called, so delay needs nothing but a memory of what is
open. That memory lives here, for notebooks; the platform keeps it in its exposures.
"""

from dataclasses import dataclass

from experiments.bandits.checks import require_count
from experiments.bandits.errors import StateError
from experiments.bandits.policy import Policy


@dataclass(frozen=True, slots=True)
class Decision:
    """A choice whose reward is not known yet.

    Attributes
    ----------
    ticket : int
        From 0, in the order of decisions.
    arm : int
    probability : float or None
        Of the arm at that time; None where it was not asked for.
    """

    ticket: int
    arm: int
    probability: float | None


class Delayed:
    """A policy whose rewards come late, out of order, or never.

    Parameters
    ----------
    policy : Policy
    batch : int
        Rewards that wait before all of them are learned, >= 1. 1 learns each at once.
    logs_probability : bool
        Keep the probability of each choice, which Exp3 and off-policy estimates need. It costs a
        call of `Policy.allocation` per decision where something was learned since the last.
    """

    def __init__(self, policy: Policy, *, batch: int = 1, logs_probability: bool = False) -> None:
        self.policy = policy
        self.batch = require_count("batch", batch, 1)
        self.logs_probability = logs_probability
        self._open: dict[int, Decision] = {}
        self._waiting: list[tuple[Decision, float]] = []
        self._n_decisions = 0
        self._allocation: list[float] | None = None

    def choose(self) -> Decision:
        """Return a decision; hand it back with its reward."""
        if self.logs_probability and self._allocation is None:
            self._allocation = self.policy.allocation().tolist()
        arm = self.policy.choose()
        probability = None if self._allocation is None else self._allocation[arm]
        decision = Decision(self._n_decisions, arm, probability)
        self._open[decision.ticket] = decision
        self._n_decisions += 1
        return decision

    def resolve(self, ticket: int, reward: float) -> None:
        """Take in the reward of a decision.

        Raises
        ------
        StateError
            There is no such decision, or it has its reward already.
        RewardError
            The reward cannot be; the decision stays open.
        """
        if ticket not in self._open:
            raise StateError(f"Decision {ticket} is not open.")
        decision = self._open[ticket]
        self.policy.check_reward(reward)
        del self._open[ticket]
        self._waiting.append((decision, float(reward)))
        if len(self._waiting) >= self.batch:
            self.flush()

    def expire(self, before: int) -> int:
        """Give up decisions with tickets below `before`; return how many there were."""
        gone = [ticket for ticket in self._open if ticket < before]
        for ticket in gone:
            del self._open[ticket]
        return len(gone)

    def flush(self) -> None:
        """Learn every reward that waits for its batch."""
        for decision, reward in self._waiting:
            self.policy.update(decision.arm, reward, decision.probability)
        self._waiting.clear()
        self._allocation = None

    @property
    def n_open(self) -> int:
        """Decisions whose rewards are not known."""
        return len(self._open)
