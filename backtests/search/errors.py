"""What the search refuses, as one family."""

from collections.abc import Sequence


class SearchError(ValueError):
    """Base of everything the search refuses."""


class DocumentError(SearchError):
    """A search document is not valid; the line names the path.

    Parameters
    ----------
    line : str
        What is wrong, in one line.
    faults : sequence of (path, message)
        All that is, each with its path in the document.
    """

    def __init__(self, line: str, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(line)
        self.faults = faults


class SpaceError(SearchError):
    """A search space contradicts itself, or parameters are not in it."""


class UnsatisfiableError(SpaceError):
    """No parameter set that meets the constraints was found within the allowed draws."""


class PathError(SearchError):
    """A path does not exist in the document it is to change."""


class ExpressionError(SearchError):
    """A text is not an expression of the little language, or names what nobody knows."""


class ResultsError(SearchError):
    """The results told are not those of the trials asked."""
