"""What a row says of an end that nobody asked for."""

from typing import Any

from crowetrade_site.core.errors import DomainError


def unexpected(error: Exception, title: str) -> dict[str, Any]:
    """Return the problem of an error nobody foresaw; the log has its trace."""
    # a NUL or a lone surrogate in a foreign message must not keep the row from being written
    text = str(error).encode("utf-8", "replace").decode().replace("\0", "�")
    return DomainError(f"{type(error).__name__}: {text}").problem() | {"title": title}


def worker_lost(attempts: int, worker: str = "") -> dict[str, Any]:
    """Return the problem of work that was begun as often as allowed and never ended."""
    last = f", the last one being {worker}" if worker else ""
    lost = DomainError(
        f"The worker was lost {attempts} times{last}. Look into its log for a crash or for lack "
        "of memory, then ask for it anew."
    )
    return lost.problem() | {"title": "The worker was lost"}
