"""Typed reading of environment variables; a bad value stops the start with its cure."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
RATE = re.compile(r"[1-9]\d*/(s|sec|second|m|min|minute|h|hour|d|day)")
ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """Return a variable's text, stripped."""
    return os.environ.get(name, default).strip()


def boolean(name: str, *, default: bool) -> bool:
    """Return a yes/no variable."""
    value = os.environ.get(name)
    if value is None:
        return default
    lowered = value.strip().lower()
    if lowered not in TRUE | FALSE:
        raise ImproperlyConfigured(f"{name}={value!r} is neither yes nor no; write 1 or 0.")
    return lowered in TRUE


def integer(name: str, *, default: int, minimum: int | None = None) -> int:
    """Return a whole-number variable."""
    value = os.environ.get(name, str(default))
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number.") from None
    if minimum is not None and number < minimum:
        raise ImproperlyConfigured(f"{name}={number} is below its minimum of {minimum}.")
    return number


def rate(name: str, default: str) -> str | None:
    """Return a number of requests in a time, such as ``60/min``; None where it is empty."""
    value = text(name, default)
    if value and not RATE.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is no rate; write a number and s, min, hour or day, such as 60/min, "
            "or nothing for no limit."
        )
    return value or None


def address(name: str) -> str:
    """Return the address of a site without a slash at its end; empty where none is given."""
    value = text(name).rstrip("/")
    if value and not ADDRESS.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={value!r} is no address; write one such as https://lab.example.com, with "
            "the path that a proxy adds, if it does."
        )
    return value


def listing(name: str, default: str = "") -> list[str]:
    """Return a comma-separated variable as a list without blanks."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def secret(name: str, path: Path) -> str:
    """Return a secret from the environment, from the file named by NAME_FILE, or from `path`.

    A secret found nowhere is drawn once and kept in `path` with mode 0600, so that
    every process of an embedded installation shares it.
    """
    if os.environ.get(name):
        return os.environ[name]
    if os.environ.get(f"{name}_FILE"):
        return Path(os.environ[f"{name}_FILE"]).read_text().strip()
    return _shared_secret(path)


def _shared_secret(path: Path) -> str:
    import secrets

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(secrets.token_urlsafe(50))
    try:
        os.link(temporary, path)  # atomic: of two first starts, one secret wins
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_text().strip()


def database(url: str) -> dict[str, object]:
    """Return Django's settings for a PostgreSQL URL.

    Parameters
    ----------
    url : str
        ``postgres[ql]://user:password@host:port/name?option=value``; an empty host or a
        percent-encoded folder means a Unix socket. Options go to the driver (libpq).
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL has the scheme {parts.scheme!r}. CroweTrade needs PostgreSQL "
            "(postgresql://…); leave the variable unset to use the embedded one."
        )
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", unquote(parts.hostname or ""))
    return {
        "ENGINE": "crowetrade_site.core.postgres",
        "NAME": unquote(parts.path.lstrip("/")) or "crowetrade",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }
