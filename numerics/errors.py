"""What shared mathematics refuses, as one family."""


class NumericsError(ValueError):
    """Base of everything that the pure mathematics refuses."""


class DomainError(NumericsError):
    """An argument is outside the domain of a formula."""
