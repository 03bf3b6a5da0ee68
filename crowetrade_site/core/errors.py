"""What can go wrong, as the caller sees it; framework-free.

Pure packages have error families of their own; a job or a service turns them into one of
these exactly once, with `translating`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Final

TOLD: Final = 4  # faults in one sentence
LISTED: Final = 100  # in ``errors``: a small body can be wrong in thousands of places


class DomainError(Exception):
    """A refusal that a person or a client can act on.

    Parameters
    ----------
    detail : str
        One sentence: what is wrong and what to do.
    **extensions
        Further members of the problem document (JSON values), such as ``errors``.
    """

    slug: ClassVar[str] = "domain-error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "The request cannot be served"

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions

    def problem(self) -> dict[str, Any]:
        """Return the RFC 9457 members of this error."""
        return self.extensions | {
            "type": f"urn:crowetrade:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


class Forbidden(DomainError):
    """The actor has no right to do this."""

    slug, status, title = "forbidden", 403, "You may not do this"


class NotFound(DomainError):
    """There is no such thing."""

    slug, status, title = "not-found", 404, "There is no such thing"


class Conflict(DomainError):
    """The request contradicts the present state."""

    slug, status, title = "conflict", 409, "The request contradicts the present state"


class IllegalTransition(Conflict):
    """The lifecycle has no such move."""

    slug, title = "illegal-transition", "The lifecycle has no such move"


class StaleState(Conflict):
    """Somebody else changed it first."""

    slug, title = "stale-state", "Somebody else changed it first"


class Unconfirmed(Conflict):
    """It may be meant, and whoever asks has to say so.

    Parameters
    ----------
    known : str
        What speaks against it.
    remedy : str
        How it is said; each door has words of its own.
    """

    def __init__(self, known: str, remedy: str, **extensions: Any) -> None:
        super().__init__(f"{known}; {remedy}.", **extensions)
        self.known = known

    def by(self, remedy: str) -> "Unconfirmed":
        """Return the same refusal with the words of another door."""
        return type(self)(self.known, remedy, **self.extensions)


class Gone(DomainError):
    """It was there, and was removed on purpose."""

    slug, status, title = "gone", 410, "It was removed"


class DuplicateRequest(Conflict):
    """The idempotency key was used for another request."""

    slug, title = "duplicate-request", "The idempotency key was used for another request"


class TooMuch(DomainError):
    """More is asked for than one person may have at a time."""

    slug, status, title = "too-much", 429, "That is more than you may have at a time"


class InvalidRequest(DomainError):
    """The request itself is not acceptable."""

    slug, status, title = "invalid-request", 400, "The request is not acceptable"


class InvalidInput(DomainError):
    """The input was understood and is wrong."""

    slug, status, title = "invalid-input", 422, "The input is wrong"

    @classmethod
    def of(cls, errors: Sequence[Mapping[str, str]], *, n_more: int = 0) -> "InvalidInput":
        """Return the refusal of several places: the first few in one line, more in ``errors``.

        Those beyond `LISTED`, and `n_more` that the caller has left out itself, are only counted.
        """
        told = [f"{one['path']}: {one['message']}".removeprefix(": ") for one in errors[:TOLD]]
        untold = max(len(errors) - TOLD, 0) + n_more
        more = f" ({untold} more)" if untold else ""
        line = " ".join(text if text.endswith((".", "?")) else f"{text}." for text in told)
        unlisted = max(len(errors) - LISTED, 0) + n_more
        counted = {"n_more_errors": unlisted} if unlisted else {}
        return cls(f"{line}{more}", errors=list(errors[:LISTED]), **counted)

    @classmethod
    def at(cls, path: str, message: str) -> "InvalidInput":
        """Return the refusal of one place in the input, which the sentence names first."""
        return cls(f"{path}: {message}", errors=[{"path": path, "message": message}])


class GateNotMet(DomainError):
    """A gate refuses the move."""

    slug, status, title = "gate-not-met", 422, "A gate refuses the move"


class Corrupted(DomainError):
    """Stored bytes are not what was stored."""

    slug, status, title = "corrupted", 409, "Stored bytes are not what was stored"


class Unavailable(DomainError):
    """A service this needs does not answer."""

    slug, status, title = "unavailable", 503, "A service this needs does not answer"


@contextmanager
def translating(
    source: type[Exception] | tuple[type[Exception], ...],
    target: type[DomainError],
    *,
    path: str = "",
) -> Iterator[None]:
    """Turn the errors of a pure package into a domain error, keeping the sentence.

    Parameters
    ----------
    path : str
        Where in the input that is which the package was given. What an error knows more exactly
        (``faults``: pairs of a path and a message) is told below it.
    """
    try:
        yield
    except source as error:
        errors = [
            {"path": ".".join(part for part in (path, place) if part), "message": message}
            for place, message in getattr(error, "faults", ())
        ]
        if errors and issubclass(target, InvalidInput):
            raise target.of(errors) from error
        where = {"errors": [{"path": path, "message": str(error)}]} if path else {}
        raise target(str(error), **where) from error
