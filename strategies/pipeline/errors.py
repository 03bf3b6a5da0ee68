"""What a pipeline refuses."""


class PipelineError(ValueError):
    """Base of everything a pipeline refuses."""


class UnknownSymbolError(PipelineError):
    """A strategy names an instrument the history does not have."""


class HistoryError(PipelineError):
    """The arrays of a market history do not fit together."""
