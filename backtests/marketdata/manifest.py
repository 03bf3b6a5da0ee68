"""The manifest of a dataset: what its arrays mean, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backtests.marketdata.errors import ManifestError

FORMAT = 1
IMPORTER_VERSION = "2"


def canonical_json(value: object) -> bytes:
    """Encode plain values one way only: sorted keys, no spaces, UTF-8, no floats.

    Raises
    ------
    ManifestError
        A float or a foreign type is inside; floats have no one spelling.
    """
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _refuse_floats(value: object) -> None:
    if isinstance(value, float):
        raise ManifestError("A manifest holds no floats; write numbers as integers or text.")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ManifestError(f"Manifest key {key!r} is not text.")
            _refuse_floats(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_floats(inner)
    elif not isinstance(value, str | int | None):
        raise ManifestError(f"A manifest cannot hold {type(value).__name__}.")


@dataclass(frozen=True, slots=True)
class StoredField:
    """One stored array or column.

    Attributes
    ----------
    sha256 : str
        Of the `.npy` file; for a column of a reference table, of its canonical values.
    dtype : str
        numpy notation ("<f8"), or "text".
    shape : tuple of int
        (T, N) for bars, (n,) for ticks and reference columns.
    n_bytes : int
        Size of what `sha256` covers.
    """

    sha256: str
    dtype: str
    shape: tuple[int, ...]
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "sha256": self.sha256,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "bytes": self.n_bytes,
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dataset is.

    Attributes
    ----------
    kind : {"bars", "quotes", "trades", "reference"}
    series : str
        What a reference table holds, else empty.
    symbols : tuple of str
        Sorted; the order of the columns of a panel.
    currency, calendar, prices : str
        As stated at import; calendar may be empty. A currency not stated is that of the currency
        pairs, where they share one; prices adjusted on import are "adjusted".
    bar_ns : int
        Bar length [ns], 0 where there is none. The exchange day of a daily bar is the UTC date of
        its stamp, whatever the calendar; a stamp at midnight ends the day before.
    fields : dict of name to StoredField
    first, last : int
        First and last stamp [ns UTC]; 0 for a table without stamps.
    n_rows : int
        Stamps of a panel, rows of anything else.
    n_observations : int
        Bars, ticks or rows stored.
    actions : tuple of str
        Corporate action fields present ("split", "dividend").
    source : dict
        File name, SHA-256, size, options, importer: where it came from, not what it is.
    files : dict of stored file name to its SHA-256
    """

    kind: str
    symbols: tuple[str, ...]
    fields: dict[str, StoredField]
    first: int
    last: int
    n_rows: int
    n_observations: int
    series: str = ""
    currency: str = ""
    calendar: str = ""
    prices: str = "raw"
    bar_ns: int = 0
    actions: tuple[str, ...] = ()
    source: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """The part that determines the data: equal content, equal dataset."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "series": self.series,
            "symbols": list(self.symbols),
            "currency": self.currency,
            "calendar": self.calendar,
            "prices": self.prices,
            "bar_ns": self.bar_ns,
            "fields": {name: f.to_json() for name, f in self.fields.items()},
            "first": self.first,
            "last": self.last,
            "n_rows": self.n_rows,
            "n_observations": self.n_observations,
            "actions": list(self.actions),
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the content: the same data from another file has the same digest."""
        return hashlib.sha256(canonical_json(self.content)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return content, digest, source and files as plain JSON values."""
        return {
            "content": self.content,
            "digest": self.digest,
            "source": self.source,
            "files": self.files,
        }

    def to_bytes(self) -> bytes:
        """Return the canonical JSON document."""
        return canonical_json(self.to_json())

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Manifest:
        """Read a manifest back and check its digest.

        Raises
        ------
        ManifestError
            Parts are missing, the format is unknown, or the digest does not match the content.
        """
        try:
            content = dict(document["content"])
            if content.pop("format") != FORMAT:
                raise ManifestError("The manifest has a format this version does not know.")
            stored = {
                name: StoredField(f["sha256"], f["dtype"], tuple(f["shape"]), f["bytes"])
                for name, f in content.pop("fields").items()
            }
            symbols, actions = tuple(content.pop("symbols")), tuple(content.pop("actions"))
            manifest = cls(
                symbols=symbols, actions=actions, fields=stored, **content,
                source=dict(document.get("source", {})), files=dict(document.get("files", {})),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"This is not a dataset manifest: {error}.") from error
        if document.get("digest") != manifest.digest:
            raise ManifestError("The manifest's digest does not match its content.")
        return manifest

    @classmethod
    def from_bytes(cls, raw: bytes) -> Manifest:
        """Read the JSON document.

        Raises
        ------
        ManifestError
            It is no JSON, or no manifest.
        """
        try:
            return cls.from_json(json.loads(raw))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ManifestError(f"This is not a dataset manifest: {error}.") from error
