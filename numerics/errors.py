"""What shared mathematics refuses, as one family."""


class NumericsError(ValueError):
    """Base of everything that the pure mathematics refuses."""


class DomainError(NumericsError):
    """An argument is outside the domain of a formula."""


class UndeterminedError(NumericsError):
    """A sample does not determine what is asked of it."""
