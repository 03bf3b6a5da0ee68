"""Refusals of whole batches; what is wrong with one row is a `Reason`."""


class IntakeError(ValueError):
    """A batch that is no batch of outcomes."""


class TooManyOutcomes(IntakeError):
    """More rows than one batch may have."""
