"""Turning a scikit-learn model into skops or ONNX, inside the sandbox."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.artifacts.contents import Format
from registry.artifacts.errors import UnreadableError
from registry.artifacts.limits import Limits
from registry.artifacts.locks import SandboxLimits
from registry.artifacts.manifest import FileEntry
from registry.artifacts.onnx_files import is_onnx, structure_of
from registry.artifacts.onnx_graphs import is_for_complete_rows, opsets_of, signature_of
from registry.artifacts.onnx_writing import REFUSE
from registry.artifacts.sandbox import Probe, ProbeStatus, Rows, run
from registry.artifacts.streams import Bounded
from registry.artifacts.trusted import TRUSTED_TYPES, inspect_skops

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the size of a value in its column: ONNX adds up in 32-bit floats, whose steps are 1.2e-7.
ONNX_TOLERANCE = 1e-5
TOLERANCES = {Format.SKOPS: 0.0, Format.ONNX: ONNX_TOLERANCE}
_WRITERS = {
    Format.SKOPS: ("skops", "scikit-learn"),
    Format.ONNX: ("skl2onnx", "onnx", "scikit-learn"),
}
SOURCES = {Format.SKOPS: (Format.PICKLE,), Format.ONNX: (Format.PICKLE, Format.SKOPS)}


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a conversion.

    Attributes
    ----------
    probe : Probe
        How it went; its ``agreement`` is over every prediction of the given rows.
    content : bytes
        The new file; empty unless it went well.
    tolerance : float
        The largest relative difference that counts as none.
    """

    probe: Probe
    content: bytes
    tolerance: float

    def describe(self, target: Format) -> dict[str, Any]:
        """Return the fields of a version that the new file knows better than the old one.

        Raises
        ------
        UnreadableError
            The file does not say what goes in and comes out.
        """
        written_by = {name: version(name) for name in _WRITERS[target]}
        if target is not Format.ONNX:
            return {"framework": {"written_by": written_by}}
        with memoryview(self.content) as buffer:
            framework = {"written_by": written_by, "opsets": opsets_of(buffer)}
            if is_for_complete_rows(buffer):
                framework["missing_values"] = REFUSE
            return {"framework": framework, "signature": signature_of(buffer)}

    @property
    def is_equal(self) -> bool:
        """Whether both models decide the same, and predict the same within the tolerance."""
        found = self.probe.agreement
        return (
            self.probe.is_opened
            and found is not None
            and found.max_rel_difference <= self.tolerance
            and not found.n_decisions_differing
        )


def convert(
    folder: Path,
    entry: FileEntry,
    target: Format,
    *,
    rows: Rows | NDArray[Any],
    source: Format = Format.PICKLE,
    refuses_missing: bool = False,
    trusted: Collection[str] = TRUSTED_TYPES,
    limits: SandboxLimits | None = None,
) -> Conversion:
    """Convert a model, and compare predictions.

    It is opened, written, opened again and compared in the sandbox; only the bytes of the new file
    come back, and are inspected like any that is handed in.

    Parameters
    ----------
    folder, entry
        The file: a quarantined pickle whose every import is listed, or skops.
    target : {Format.SKOPS, Format.ONNX}
    rows : sequence of rows, at least one
        What both models predict: by `predict`, and `predict_proba` and `decision_function`
        where they have them. For ONNX rows of numbers, compared once more with values missing
        where the model takes that: one in each row and in each column, and all of one row.
    source : Format
        What the file is.
    refuses_missing : bool
        Compare on the given rows alone, and have the ONNX file say that it is for complete rows:
        whoever loads it here is refused others.
    trusted : collection of str
        The registry's list of skops types.
    limits : SandboxLimits

    Raises
    ------
    ValueError
        There are no rows, or nothing is converted so; only ONNX refuses missing values.
    ArtifactError
        The file is not there.
    """
    if len(rows) == 0:
        raise ValueError("A conversion is checked on rows, and there are none.")
    if source not in SOURCES.get(target, ()):
        raise ValueError(f"A model that is {source.value} does not become {target.value}.")
    if refuses_missing and target is not Format.ONNX:
        raise ValueError(f"A model that becomes {target.value} keeps what it does with gaps.")
    tolerance = TOLERANCES[target]
    asked = {
        "task": "convert", "target": target.value, "rows": rows, "opens_pickles": True,
        "tolerance": tolerance, "refuses_missing": refuses_missing,
    }  # fmt: skip
    probe, payload = run(folder, entry, source, asked, trusted, limits or SandboxLimits())
    if probe.is_opened and (
        reason := _fault(payload, entry.path, target, trusted) or _unsaid(payload, refuses_missing)
    ):
        probe = replace(probe, status=ProbeStatus.FAILED, reason=reason)
    made = Conversion(probe, payload, tolerance)
    return made if made.is_equal else replace(made, content=b"")


def _fault(payload: bytes, path: str, target: Format, trusted: Collection[str]) -> str:
    """Return what is wrong with a file that a process made which may be hostile."""
    if target is Format.SKOPS:
        findings = inspect_skops(Bounded(io.BytesIO(payload)), path, Limits(), trusted)
        return ", ".join(f"{finding.code}: {finding.text}" for finding in findings)
    with memoryview(payload) as buffer:
        try:
            structure = structure_of(buffer) if is_onnx(buffer) else None
        except UnreadableError as error:
            return f"what came out is no ONNX file: {error}"
    if structure is None:
        return "what came out is no ONNX file"
    if structure.idle_bodies:
        return "what came out has a loop that nothing could end"
    return "what came out has tensors in other files" if structure.external_tensors else ""


def _unsaid(payload: bytes, is_wanted: bool) -> str:
    """Return what is wrong with a graph for complete rows alone that does not say so."""
    if not is_wanted:
        return ""
    with memoryview(payload) as buffer:
        says = is_for_complete_rows(buffer)
    return "" if says else "what came out does not say that it refuses missing values"
