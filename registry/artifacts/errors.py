"""Errors of the artifacts package."""


class ArtifactError(ValueError):
    """Base of everything this package refuses."""


class UnsafePathError(ArtifactError):
    """A path could lead out of its folder, or be read as another one."""


class ManifestError(ArtifactError):
    """A manifest is not one of ours, or its files contradict each other."""


class DigestMismatchError(ArtifactError):
    """A file's bytes are not those its manifest names."""


class LimitExceededError(ArtifactError):
    """Something is larger, deeper or more numerous than the limits allow."""


class UnreadableError(ArtifactError):
    """A file is damaged, or is not what it was said to be."""


class NotAllowedError(ArtifactError):
    """A file asks for a type or a function that is not on the registry's list."""


class CannotPredictError(ArtifactError):
    """The model is a set of parameters: there is nothing to call."""


class MissingValuesError(ArtifactError):
    """Rows have gaps, and the model was converted for complete rows alone."""


class TooSlowError(ArtifactError):
    """A model did not answer in the time it has."""


class SignatureRefusedError(ArtifactError):
    """A signature is not one of the key, or not over these files."""
