"""MLflow's MLmodel file, read as plain values and never obeyed.

MLflow hands two of its fields to code: `loader_module` is imported, and `skops_trusted_types` is
the author's own list of what may be built. Here the first must be one of a few, and the second is
compared with the registry's list and used for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from registry.artifacts.documents import DocumentError, read_yaml
from registry.artifacts.errors import UnreadableError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits

FILE_NAME = "MLmodel"
LOADER_MODULES = frozenset({"mlflow.onnx", "mlflow.sklearn"})
# Where each flavor says which file the model is.
_MODEL_KEYS = {"sklearn": "pickled_model", "onnx": "data", "python_function": "model_path"}


@dataclass(frozen=True, slots=True)
class MlModel:
    """What an MLmodel file says.

    Attributes
    ----------
    flavors : dict
        As written, plain JSON values.
    signature : dict or None
        ``inputs``, ``outputs``, ``params`` as plain JSON values.
    mlflow_version, model_uuid, run_id : str
        Empty where not given.
    serialization_format : str
        Of the sklearn flavor: ``skops``, ``cloudpickle`` or ``pickle``; empty without.
    model_path : str
        The file that the model is, as the flavors say; empty where they do not.
    trusted_types : tuple of str
        The author's list. For display: it opens nothing.
    """

    flavors: dict[str, Any]
    signature: dict[str, Any] | None
    mlflow_version: str
    model_uuid: str
    run_id: str
    serialization_format: str
    model_path: str
    trusted_types: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "flavors": self.flavors,
            "signature": self.signature,
            "mlflow_version": self.mlflow_version,
            "model_uuid": self.model_uuid,
            "run_id": self.run_id,
            "serialization_format": self.serialization_format,
            "model_path": self.model_path,
            "trusted_types": list(self.trusted_types),
        }


def read_mlmodel(raw: bytes, limits: Limits) -> MlModel:
    """Read an MLmodel file.

    Raises
    ------
    DocumentError
        It is no YAML of plain values; ``yaml_tag`` names a tag that would make an object.
    UnreadableError
        It is YAML and says nothing an MLmodel file must say.
    """
    document = read_yaml(raw, limits)
    flavors = document.get("flavors") if isinstance(document, Mapping) else None
    if not isinstance(flavors, Mapping) or not all(
        isinstance(flavor, Mapping) for flavor in flavors.values()
    ):
        raise UnreadableError("MLmodel without flavors")
    sklearn = flavors.get("sklearn", {})
    trusted = sklearn.get("skops_trusted_types") or []
    return MlModel(
        flavors={str(name): dict(flavor) for name, flavor in flavors.items()},
        signature=_signature(document.get("signature")),
        mlflow_version=_text(document.get("mlflow_version")),
        model_uuid=_text(document.get("model_uuid")),
        run_id=_text(document.get("run_id")),
        serialization_format=_text(sklearn.get("serialization_format")),
        model_path=_model_path(flavors),
        trusted_types=tuple(map(str, trusted if isinstance(trusted, list) else [trusted])),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _signature(signature: Any) -> dict[str, Any] | None:
    """Return a signature whose parts MLflow writes as JSON inside YAML."""
    if not isinstance(signature, Mapping):
        return None
    return {str(name): _plain(part) for name, part in signature.items()}


def _plain(part: Any) -> Any:
    if not isinstance(part, str):
        return part
    try:
        return json.loads(part)
    except (ValueError, RecursionError):
        return part


def _model_path(flavors: Mapping[str, Any]) -> str:
    for flavor, key in _MODEL_KEYS.items():
        path = flavors.get(flavor, {}).get(key)
        if isinstance(path, str):
            return path
    return ""


def inspect_mlmodel(
    model: MlModel, paths: Collection[str], trusted: Collection[str], path: str = FILE_NAME
) -> list[Finding]:
    """Return what in an MLmodel file would make a loader run or trust something.

    Parameters
    ----------
    model : MlModel
    paths : collection of str
        Of the files beside it, relative to the same folder.
    trusted : collection of str
        The registry's list of skops types.
    path : str
        What findings are said to be about.
    """
    findings = [Finding("author_trust_list", path, f"the model's own list trusts {name}")
                for name in model.trusted_types if name not in trusted]  # fmt: skip
    for name, flavor in model.flavors.items():
        if flavor.get("code"):
            findings.append(Finding("model_code", path, f"{name} brings code: {flavor['code']}"))
        for key in ("loader_module", "model_code_path", "python_model"):
            module = flavor.get(key)
            if module is not None and not (key == "loader_module" and module in LOADER_MODULES):
                findings.append(Finding("loader_module", path, f"{name}.{key} is {module}"))
    if model.model_path and model.model_path not in paths:
        findings.append(Finding("model_missing", path, f"the file {model.model_path} is not here"))
    return findings


def finding_of(error: DocumentError | UnreadableError, path: str) -> Finding:
    """Return a refusal to read an MLmodel file as a finding."""
    if isinstance(error, DocumentError):
        return error.finding(path)
    return Finding("mlmodel_invalid", path, str(error))
