"""What assignment refuses, as one family."""


class AssignmentError(ValueError):
    """Base of everything that this package refuses."""


class UnitError(AssignmentError):
    """No unit's name: it is empty, longer than 256 bytes, or has control characters."""


class SettingsError(AssignmentError):
    """Arms, weights, salts, ranges or a moment are outside their domain."""


class LayerError(AssignmentError):
    """Ranges of a layer overlap, or there is no room for the share that is asked for."""


class RampError(AssignmentError):
    """A ramp does not ascend, or one of its steps is none."""


class TargetingError(AssignmentError):
    """A targeting document is none of the language; the text begins with the path to the fault."""


class ContextError(AssignmentError):
    """A unit came in no context that has shares: its attribute is missing, or another."""
