"""Refusals of whole batches; what is wrong with one row is a `Reason`."""


class IntakeError(ValueError):
    """A batch that is no batch of outcomes.

    Parameters
    ----------
    faults : tuple of (str, str)
        What is wrong by its place in the batch, where one is known.
    """

    def __init__(self, text: str, *faults: tuple[str, str]) -> None:
        super().__init__(text)
        self.faults = faults


class TooManyOutcomes(IntakeError):
    """More rows than one batch may have."""
