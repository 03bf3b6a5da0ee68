"""What simulations refuse."""


class SimulationError(ValueError):
    """Base of everything that this package refuses."""


class SettingsError(SimulationError):
    """A setting is outside its domain or contradicts another."""


class ReturnsError(SimulationError):
    """Given returns cannot be replayed: their shape, a missing value, a policy's range."""
