"""Turning a quarantined scikit-learn pickle into skops, inside the sandbox."""

from __future__ import annotations

import io
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.artifacts.contents import Format
from registry.artifacts.limits import Limits
from registry.artifacts.locks import SandboxLimits
from registry.artifacts.manifest import FileEntry
from registry.artifacts.sandbox import Probe, ProbeStatus, Rows, run
from registry.artifacts.streams import Bounded
from registry.artifacts.trusted import TRUSTED_TYPES, inspect_skops

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a conversion.

    Attributes
    ----------
    probe : Probe
        How it went; ``max_abs_difference`` is over every prediction of the given rows.
    content : bytes
        The skops file; empty unless it went well.
    """

    probe: Probe
    content: bytes

    @property
    def is_equal(self) -> bool:
        """Whether both models predict the same, bit for bit."""
        return self.probe.is_opened and self.probe.max_abs_difference == 0.0


def convert_to_skops(
    folder: Path,
    entry: FileEntry,
    *,
    rows: Rows | NDArray[Any],
    trusted: Collection[str] = TRUSTED_TYPES,
    limits: SandboxLimits | None = None,
) -> Conversion:
    """Convert a pickle whose every import is listed, and compare predictions.

    The pickle is opened, dumped, opened again and compared in the sandbox; only the bytes of
    the skops file come back, and are inspected like any that is handed in.

    Parameters
    ----------
    folder, entry
        The quarantined file.
    rows : sequence of rows, at least one
        What both models predict: by `predict`, and `predict_proba` and `decision_function`
        where they have them.
    trusted : collection of str
        The registry's list of skops types.
    limits : SandboxLimits

    Raises
    ------
    ValueError
        There are no rows.
    ArtifactError
        The file is not there.
    """
    if len(rows) == 0:
        raise ValueError("A conversion is checked on rows, and there are none.")
    asked = {"task": "convert", "rows": rows, "opens_pickles": True}
    probe, payload = run(folder, entry, Format.PICKLE, asked, trusted, limits or SandboxLimits())
    if not probe.is_opened:
        return Conversion(probe, b"")
    if probe.max_abs_difference is None or not math.isfinite(probe.max_abs_difference):
        reason = "the converted model predicts something else"
        return Conversion(_failed(probe, reason), b"")
    findings = inspect_skops(Bounded(io.BytesIO(payload)), entry.path, Limits(), trusted)
    if findings:
        reason = ", ".join(f"{finding.code}: {finding.text}" for finding in findings)
        return Conversion(_failed(probe, reason), b"")
    return Conversion(probe, payload)


def _failed(probe: Probe, reason: str) -> Probe:
    return Probe(
        ProbeStatus.FAILED, reason, probe.locks, max_abs_difference=probe.max_abs_difference
    )
