"""What a set of files is, and whether the registry takes it.

Accepted are skops, ONNX, safetensors and parameter files, alone or in MLflow's folder. Pickles
whose every import is on the list are quarantined. All else is refused, by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from registry.artifacts.contents import Content, Format, look
from registry.artifacts.documents import DocumentError
from registry.artifacts.errors import UnreadableError
from registry.artifacts.findings import Decision, Finding, decide
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import Manifest, open_regular, read_verified
from registry.artifacts.mlmodel import (
    FILE_NAME,
    MlModel,
    finding_of,
    inspect_mlmodel,
    read_mlmodel,
)
from registry.artifacts.packages import inspect_packages
from registry.artifacts.paths import folded
from registry.artifacts.streams import Bounded
from registry.artifacts.trusted import TRUSTED_TYPES

# Formats that a model can have, the one that decides first.
_MODELS = (Format.SKOPS, Format.ONNX, Format.SAFETENSORS, Format.PICKLE)
_CODE_SUFFIXES = frozenset({".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".whl", ".egg", ".pth"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a set of files is, and what may be done with it.

    Attributes
    ----------
    decision : Decision
        Accepted, quarantined or refused.
    format : Format
        Of the file that the model is; `Format.UNKNOWN` where there is none.
    model_path : str
        That file; empty where there is none.
    formats : dict of path to Format
        What each file is.
    findings : tuple of Finding
        Why not accepted; each names what it found.
    globals : tuple of str
        What pickles among the files would import, sorted.
    mlmodel : MlModel or None
        What MLflow's description says, where the files are its folder.
    """

    decision: Decision
    format: Format
    model_path: str
    formats: Mapping[str, Format]
    findings: tuple[Finding, ...]
    globals: tuple[str, ...]
    mlmodel: MlModel | None

    @property
    def signature(self) -> dict[str, Any] | None:
        """MLflow's signature as plain JSON values; None where there is none."""
        return self.mlmodel.signature if self.mlmodel else None

    @property
    def summary(self) -> str:
        """One line for people: the decision and what was found."""
        found = "; ".join(f"{f.code} {f.path}: {f.text}" for f in self.findings)
        return f"{self.decision.value} ({self.format.value}){': ' if found else ''}{found}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "decision": self.decision.value,
            "format": self.format.value,
            "model_path": self.model_path,
            "formats": {path: found.value for path, found in self.formats.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "globals": list(self.globals),
            "mlmodel": self.mlmodel.to_json() if self.mlmodel else None,
        }


def inspect_folder(
    folder: Path,
    manifest: Manifest,
    *,
    limits: Limits | None = None,
    trusted: Collection[str] = TRUSTED_TYPES,
) -> Verdict:
    """Say what the files of a manifest are, without running, building or importing any of it.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    manifest : Manifest
        Which files; others in the folder are not looked at.
    limits : Limits
    trusted : collection of str
        The registry's list of skops types, with a desk's additions.

    Raises
    ------
    ArtifactError
        A file is not there, or is not what the manifest says.
    """
    limits = limits or Limits()
    findings = _size_findings(manifest, limits)
    contents: dict[str, Content] = {}
    for entry in () if findings else manifest.files:
        with open_regular(folder / entry.path) as file:
            stream = Bounded(file)
            if stream.n_bytes != entry.n_bytes:
                raise UnreadableError(f"{entry.path} is not as long as its manifest says.")
            contents[entry.path] = look(stream, entry.path, limits, trusted)
    formats = {path: content.format for path, content in contents.items()}
    mlmodel, described = _describe(folder, manifest, limits, trusted, formats)
    findings += described + _code_findings(manifest)
    findings += inspect_packages(folder, manifest, limits) if contents else []
    findings += [finding for content in contents.values() for finding in content.findings]
    model_path, missing = _model_of(formats, mlmodel, manifest)
    findings += missing
    return Verdict(
        decision=decide(findings),
        format=formats.get(model_path, Format.UNKNOWN),
        model_path=model_path,
        formats=formats,
        findings=tuple(dict.fromkeys(findings)),
        globals=tuple(sorted({name for c in contents.values() for name in c.globals})),
        mlmodel=mlmodel,
    )


def _size_findings(manifest: Manifest, limits: Limits) -> list[Finding]:
    findings = [
        Finding("file_size", entry.path, f"{entry.n_bytes} bytes")
        for entry in manifest.files
        if entry.n_bytes > limits.file_bytes
    ]
    if manifest.n_bytes > limits.total_bytes:
        findings.append(Finding("file_size", "", f"{manifest.n_bytes} bytes in all"))
    if len(manifest.files) > limits.n_files:
        findings.append(Finding("archive_members", "", f"{len(manifest.files)} files"))
    if manifest.n_bytes == 0:
        findings.append(Finding("empty", "", "there is not one byte in these files"))
    return findings


def _describe(
    folder: Path,
    manifest: Manifest,
    limits: Limits,
    trusted: Collection[str],
    formats: Mapping[str, Format],
) -> tuple[MlModel | None, list[Finding]]:
    """Read MLflow's description; it may lie in a folder, but only once, in whatever case."""
    places = [e for e in manifest.files if folded(PurePosixPath(e.path).name) == folded(FILE_NAME)]
    if not places:
        return None, []
    if len(places) > 1:
        return None, [Finding("several_models", places[1].path, "a second MLmodel file")]
    (entry,) = places
    if PurePosixPath(entry.path).name != FILE_NAME:
        text = f"it is {FILE_NAME} to file systems that ignore case: give it that name"
        return None, [Finding("mlmodel_invalid", entry.path, text)]
    root = entry.path.removesuffix(FILE_NAME)
    beside = {
        e.path.removeprefix(root): formats.get(e.path)
        for e in manifest.files
        if e.path.startswith(root)
    }
    if entry.n_bytes > limits.yaml_bytes:
        return None, [Finding("mlmodel_invalid", entry.path, f"{entry.n_bytes} bytes")]
    try:
        model = read_mlmodel(read_verified(folder, entry), limits)
    except (DocumentError, UnreadableError) as error:
        return None, [finding_of(error, entry.path)]
    return model, inspect_mlmodel(model, beside, trusted, entry.path)


def _code_findings(manifest: Manifest) -> list[Finding]:
    findings = []
    for entry in manifest.files:
        path = PurePosixPath(entry.path)
        if path.suffix.lower() in _CODE_SUFFIXES or "code" in map(str.lower, path.parts[:-1]):
            findings.append(Finding("model_code", entry.path, "code that comes with the model"))
    return findings


def _model_of(
    formats: Mapping[str, Format], mlmodel: MlModel | None, manifest: Manifest
) -> tuple[str, list[Finding]]:
    """Return the file that the model is; with a finding where there is none, or no one.

    What is judged here must be what runs elsewhere: beside a second model, whichever of them
    MLmodel names, a client that reads another key opens the other one.
    """
    models = [path for path, found in formats.items() if found in _MODELS]
    models = models or [
        path
        for path, found in formats.items()
        if found is Format.PARAMETERS and PurePosixPath(path).name != FILE_NAME and mlmodel is None
    ]
    if len(models) == 1:
        return models[0], []
    if models:
        text = f"a version is one model, and these are {len(models)}: {', '.join(models[:5])}"
        return models[0], [Finding("several_models", "", text)]
    return "", [Finding("no_model", "", _why_none(formats, manifest))]


def _why_none(formats: Mapping[str, Format], manifest: Manifest) -> str:
    empty = [entry.path for entry in manifest.files if entry.n_bytes == 0]
    found = ", ".join(sorted({found.value for found in formats.values()})) or "nothing"
    text = f"no file of a format that is a model; found {found}"
    return f"{text}; {', '.join(empty)} has 0 bytes" if empty else text
