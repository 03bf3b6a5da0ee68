"""Refusals of plans."""


class PlanError(ValueError):
    """A plan that cannot be carried out."""
