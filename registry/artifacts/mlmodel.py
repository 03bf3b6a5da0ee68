"""MLflow's MLmodel file, read as plain values and never obeyed.

MLflow obeys it: it imports `loader_module`, opens whatever file a flavor names, wherever that lies,
by the reader that `serialization_format` names, and trusts the types of `skops_trusted_types`, the
author's own list. So each key of a flavor is one that is known here and says what it may say; the
files it names are files of the version, and all that name the model name the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry.artifacts.contents import Format
from registry.artifacts.documents import DocumentError, read_yaml, storable
from registry.artifacts.errors import UnreadableError, UnsafePathError
from registry.artifacts.findings import Finding
from registry.artifacts.limits import Limits
from registry.artifacts.package_lists import ENVIRONMENTS
from registry.artifacts.paths import require_safe_path

FILE_NAME = "MLmodel"
LOADER_MODULES = {"mlflow.onnx": "onnx", "mlflow.sklearn": "sklearn"}  # and the flavor each reads
# What each flavor may say. MLflow's other keys bring code, files from elsewhere or settings of a
# loader that is none of these; a key that nobody knows is refused with them.
_KEYS = {
    "python_function": {
        "loader_module", "python_version", "data", "model_path", "env", "code", "predict_fn",
    },
    "sklearn": {
        "pickled_model", "sklearn_version", "serialization_format", "code", "skops_trusted_types",
        "extra_files",
    },
    "onnx": {"data", "onnx_version", "providers", "onnx_session_options", "code", "extra_files"},
}  # fmt: skip
# Where each flavor says which file the model is.
_MODEL_KEYS = (
    ("sklearn", "pickled_model"), ("onnx", "data"),
    ("python_function", "model_path"), ("python_function", "data"),
)  # fmt: skip
_CODE_KEYS = frozenset({"loader_module", "model_code_path", "python_model"})
_PREDICTS = frozenset(
    {"predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba", "score"}
)
# Other settings of a session choose how the file is read, or name libraries to load.
_SESSION_OPTIONS = frozenset(
    {
        "inter_op_num_threads", "intra_op_num_threads", "execution_mode",
        "graph_optimization_level", "extra_session_config",
    }
)  # fmt: skip
# MLflow reads a scikit-learn model without a format as a pickle.
_FORMATS = {
    "skops": Format.SKOPS, "pickle": Format.PICKLE, "cloudpickle": Format.PICKLE,
    "": Format.PICKLE,
}  # fmt: skip


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
        The file that the model is, as the first flavor says that does; empty where none does.
    trusted_types : tuple of str
        The author's list. For display: it opens nothing.
    examples : dict
        What it says of an example of input: its files among other things.
    """

    flavors: dict[str, Any]
    signature: dict[str, Any] | None
    mlflow_version: str
    model_uuid: str
    run_id: str
    serialization_format: str
    model_path: str
    trusted_types: tuple[str, ...]
    examples: dict[str, Any]

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
        It is YAML and says nothing an MLmodel file must say, or is nested too deeply.
    """
    document = storable(read_yaml(raw, limits))
    flavors = document.get("flavors") if isinstance(document, Mapping) else None
    if not isinstance(flavors, Mapping) or not all(
        isinstance(flavor, Mapping) for flavor in flavors.values()
    ):
        raise UnreadableError("MLmodel without flavors")
    sklearn = flavors.get("sklearn", {})
    trusted = sklearn.get("skops_trusted_types") or []
    examples = document.get("saved_input_example_info")
    return MlModel(
        flavors={str(name): dict(flavor) for name, flavor in flavors.items()},
        signature=_signature(document.get("signature")),
        mlflow_version=_text(document.get("mlflow_version")),
        model_uuid=_text(document.get("model_uuid")),
        run_id=_text(document.get("run_id")),
        serialization_format=_text(sklearn.get("serialization_format")),
        model_path=next((str(path) for _, path in _model_paths(flavors)), ""),
        trusted_types=tuple(map(str, trusted if isinstance(trusted, list) else [trusted])),
        examples=dict(examples) if isinstance(examples, Mapping) else {},
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
        return storable(json.loads(part))
    except (ValueError, RecursionError):
        return part


def _model_paths(flavors: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each key that says which file the model is, and what it says."""
    for flavor, key in _MODEL_KEYS:
        path = flavors.get(flavor, {}).get(key)
        if path is not None:
            yield f"{flavor}.{key}", path


def inspect_mlmodel(
    model: MlModel,
    formats: Mapping[str, Format | None],
    trusted: Collection[str],
    path: str = FILE_NAME,
) -> list[Finding]:
    """Return what in an MLmodel file would make a loader run, open or trust something else.

    Parameters
    ----------
    model : MlModel
    formats : mapping of str to Format or None
        Of the files beside it, relative to the same folder; None where nobody has looked at one.
    trusted : collection of str
        The registry's list of skops types.
    path : str
        What findings are said to be about.
    """
    found = [("author_trust_list", f"the model's own list trusts {name}")
             for name in model.trusted_types if name not in trusted]  # fmt: skip
    for name, flavor in model.flavors.items():
        found += _flavor_findings(name, flavor)
    named = [*_model_paths(model.flavors), *_other_paths(model)]
    found += [fault for where, said in named if (fault := _path_fault(where, said, formats))]
    found += _model_findings(model, formats)
    return [Finding(code, path, text) for code, text in found]


def _flavor_findings(name: str, flavor: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if name not in _KEYS:
        yield "mlmodel_flavor", f"the flavor {name} is none of {', '.join(_KEYS)}"
    for key, said in flavor.items():
        where = f"{name}.{key}"
        if said is None:
            continue
        if key == "code":
            yield "model_code", f"{name} brings code: {said}"
        elif key in _CODE_KEYS:
            if key != "loader_module" or str(said) not in LOADER_MODULES:
                yield "loader_module", f"{where} is {said}"
        elif name in _KEYS and key not in _KEYS[name]:
            yield "mlmodel_key", f"nothing is known of {where}, and MLflow may obey it"
        elif not _is_plain(key, said):
            yield "mlmodel_key", f"{where} may not be {said}"


def _is_plain(key: str, said: Any) -> bool:
    """Return whether a key that chooses what is called, or how a file is read, says a usual one."""
    if key == "predict_fn":
        return str(said) in _PREDICTS
    if key == "providers":  # with settings, they name libraries to load
        return isinstance(said, list) and all(isinstance(name, str) for name in said)
    if key == "onnx_session_options":
        is_known = isinstance(said, Mapping) and set(said) <= _SESSION_OPTIONS
        return is_known and not said.get("extra_session_config")
    return True


def _other_paths(model: MlModel) -> Iterator[tuple[str, Any]]:
    """Yield what else names a file: environments, files that come along, examples."""
    env = model.flavors.get("python_function", {}).get("env") or {}
    for kind, name in env.items() if isinstance(env, Mapping) else (("conda", env),):
        yield f"python_function.env.{kind}", name
    for flavor, said in model.flavors.items():
        extra = said.get("extra_files") or []
        for one in extra if isinstance(extra, list) else [extra]:
            yield f"{flavor}.extra_files", one.get("path") if isinstance(one, Mapping) else one
    for key in ("artifact_path", "serving_input_path"):
        if model.examples.get(key) is not None:
            yield f"saved_input_example_info.{key}", model.examples[key]


def _path_fault(where: str, said: Any, files: Collection[str]) -> tuple[str, str] | None:
    """Return what is wrong with a path; only a file of the version, spelt as there, is right."""
    try:
        path = require_safe_path(said) if isinstance(said, str) else None
    except UnsafePathError:
        path = None
    if path is None:
        return "model_outside", f"{where} leads out of the version: {said}"
    if said not in files:
        return "model_missing", f"{where}: the file {said} is not here"
    if where.startswith("python_function.env.") and said.rpartition("/")[2] not in ENVIRONMENTS:
        return "mlmodel_key", f"{where} is none of {', '.join(sorted(ENVIRONMENTS))}: {said}"
    return None


def _model_findings(
    model: MlModel, formats: Mapping[str, Format | None]
) -> Iterator[tuple[str, str]]:
    """Find flavors that open another file than the others, or by another reader than its bytes."""
    named = dict(_model_paths(model.flavors))
    if len({str(said) for said in named.values()}) > 1:
        text = ", ".join(f"{where} {said}" for where, said in named.items())
        yield "several_models", f"the flavors name different files: {text}"
    for flavor in model.flavors:
        if not any(where.startswith(f"{flavor}.") for where in named):
            yield "model_missing", f"{flavor} does not say which file the model is"
    loader = str(model.flavors.get("python_function", {}).get("loader_module"))
    if loader in LOADER_MODULES and LOADER_MODULES[loader] not in model.flavors:
        yield "mlmodel_flavor", f"{loader} reads the flavor {LOADER_MODULES[loader]}, not here"
    found = formats.get(model.model_path)
    wanted = {"onnx": Format.ONNX, "sklearn": _FORMATS.get(model.serialization_format)}
    for flavor in wanted.keys() & model.flavors.keys():
        if found is not None and found is not wanted[flavor]:
            said = f" as {model.serialization_format or 'pickle'}" if flavor == "sklearn" else ""
            text = f"{flavor} opens {model.model_path}{said}, and its bytes are {found.value}"
            yield "serialization_mismatch", text


def finding_of(error: DocumentError | UnreadableError, path: str) -> Finding:
    """Return a refusal to read an MLmodel file as a finding."""
    if isinstance(error, DocumentError):
        return error.finding(path)
    return Finding("mlmodel_invalid", path, str(error))
