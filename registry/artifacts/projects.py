"""What a project of uv asks for, to install it and to build it, read into lines as pip has them.

`uv sync` builds a project that has a build system. Some build systems run what the project brings
along, or what their settings say: a compiler with the options of an extension, a hook. A project
of those known here does so only by settings that are named here; files of Python are refused
wherever they lie.

References
----------
.. [1] PEP 517, 518, 621 and 735 (pyproject.toml).
.. [2] uv, "Settings". .. [3] setuptools, "Configuring setuptools using pyproject.toml files".
.. [4] Hatch, "Build configuration"; Poetry, "The pyproject.toml file"; PDM-Backend, "Hooks".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PLAIN_VERSION = re.compile(r"\d+(\.\d+){0,2}", re.ASCII)
_HOMES = ("https://pypi.org/", "https://files.pythonhosted.org/")
# What says where a distribution comes from, in uv's sources and in its lock.
_ADDRESSES, _FOLDERS = frozenset({"registry", "url", "git"}), frozenset({"virtual", "editable"})
_LOCAL = frozenset({"path", "directory", "workspace"})
_UV_REQUIREMENTS = frozenset(
    {"dev-dependencies", "constraint-dependencies", "override-dependencies",
     "build-constraint-dependencies", "exclude-dependencies"}
)  # fmt: skip
_UV_ADDRESSES = frozenset({"index-url", "extra-index-url", "find-links"})
_UV_HARMLESS = frozenset(
    {"package", "managed", "default-groups", "dependency-groups", "conflicts", "environments",
     "required-environments", "required-version", "resolution", "fork-strategy", "prerelease",
     "exclude-newer", "index-strategy", "link-mode", "compile-bytecode", "python-preference",
     "python-downloads", "no-build", "no-build-package", "no-binary", "no-binary-package",
     "no-index", "no-sources", "offline", "reinstall", "upgrade"}
)  # fmt: skip
# Build systems that run nothing of a project but Python, and what their settings name.
_BACKENDS = frozenset(
    {"setuptools.build_meta", "hatchling.build", "flit_core.buildapi", "poetry.core.masonry.api",
     "pdm.backend", "uv_build"}
)  # fmt: skip
# What may be there to build a project: the build systems, what they stand on, and plugins whose
# settings are judged here. Of any other nobody here knows which of its settings are code, such as a
# call that tells the version, or a template.
_BUILDERS = frozenset(
    {"setuptools", "wheel", "hatchling", "flit-core", "poetry-core", "pdm-backend", "uv-build",
     "setuptools-scm", "vcs-versioning", "hatch-vcs", "packaging", "pathspec", "pluggy", "tomli",
     "trove-classifiers", "typing-extensions", "numpy", "cython"}
)  # fmt: skip
# What is importable where a project is built: setuptools calls what is named there as the version.
_INSTALLED = sys.stdlib_module_names | {
    "setuptools", "pkg_resources", "_distutils_hack", "pip", "wheel", "hatchling", "hatch_vcs",
    "flit_core", "poetry", "pdm", "uv_build", "setuptools_scm", "vcs_versioning", "packaging",
    "pathspec", "pluggy", "tomli", "trove_classifiers", "typing_extensions", "numpy", "Cython",
    "cython", "pyximport",
}  # fmt: skip
_BUILDER = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_VERSION_SOURCES = frozenset({"regex", "vcs", "env"})  # of hatchling, that run nothing
# setuptools' own that say which files belong to a project, or what it is called.
_SETUPTOOLS_HARMLESS = frozenset(
    {"packages", "py-modules", "package-dir", "package-data", "exclude-package-data",
     "include-package-data", "namespace-packages", "zip-safe", "license-files", "platforms"}
)  # fmt: skip
_LISTS = frozenset({"requirements.txt", "constraints.txt"})  # which are read themselves
_HARMLESS_HOOKS = frozenset({"vcs"})  # writes down which version it is
# Scripts, and what is evaluated or written down as Python, to learn or to tell the version.
_HOOKS = frozenset(
    {"hooks", "custom-hook", "setup-script", "run-setuptools", "script", "expression",
     "search-paths", "getter", "write_template"}
)  # fmt: skip
_SCM = ("setuptools_scm", "setuptools-scm", "vcs-versioning")
_SCM_HARMLESS = frozenset(
    {"root", "relative_to", "fallback_root", "search_parent_directories", "version_scheme",
     "local_scheme", "tag_regex", "fallback_version", "normalize", "dist_name", "version_file",
     "write_to"}
)  # fmt: skip


def python_version(text: str) -> Iterator[str]:
    """Yield what of .python-version is no plain version."""
    for line in filter(None, map(str.strip, text.splitlines())):
        if not PLAIN_VERSION.fullmatch(line):
            yield f".python-version: {line}"


def project(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what pyproject.toml asks for, to build it and to run it."""
    project, build = _table(document, "project"), _table(document, "build-system")
    groups = [_table(project, "optional-dependencies"), _table(document, "dependency-groups")]
    lists = [build.get("requires"), project.get("dependencies")]
    for requirements in (*lists, *(one for group in groups for one in group.values())):
        yield from _strings(requirements)
    yield from builders(_strings(build.get("requires")))
    for key in build.keys() - {"requires", "build-backend"}:
        yield f"build-system.{key}: {build[key]}"
    if (backend := build.get("build-backend")) is not None and backend not in _BACKENDS:
        yield f"build-system.build-backend: {backend}"
    tools = _table(document, "tool")
    yield from uv(_table(tools, "uv"))
    extra = _table(_table(tools, "uv"), "extra-build-dependencies")
    own = {_canonical(str(one.get("name", ""))) for one in (project, _table(tools, "poetry"))}
    for name, requirements in extra.items():
        if _canonical(name) in own:  # of other projects it is their settings that are read
            yield from builders(_strings(requirements))
    yield from _of_builders(tools)


def builders(requirements: Iterable[str]) -> Iterator[str]:
    """Yield what is installed to build a project and may run what its settings say."""
    for one in requirements:
        found = _BUILDER.match(one)
        if found is None or _canonical(found[0]) not in _BUILDERS:
            yield f"to build it: {one}"


def is_call(attribute: str) -> bool:
    """Return whether what is to tell the version is somebody else's: what can be called is."""
    return attribute.strip().partition(".")[0] in _INSTALLED  # setuptools strips it, too


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_builders(tools: Mapping[str, Any]) -> Iterator[str]:
    """Yield what settings of build systems run or fetch."""
    setuptools = _table(tools, "setuptools")
    for key in setuptools.keys() - _SETUPTOOLS_HARMLESS - {"dynamic"}:
        yield f"tool.setuptools.{key}: {setuptools[key]}"
    dynamic = _table(setuptools, "dynamic")
    for key in ("dependencies", "optional-dependencies"):
        if not _LISTS.issuperset(_files(dynamic.get(key))):
            yield f"tool.setuptools.dynamic.{key}: {dynamic[key]}"
    attribute = str(_table(dynamic, "version").get("attr", ""))
    if is_call(attribute):
        yield f"tool.setuptools.dynamic.version.attr: {attribute}"
    if "distutils" in tools:
        yield f"tool.distutils: {tools['distutils']}"
    for name in ("pdm", "poetry"):
        yield from _hooks(tools.get(name), f"tool.{name}")
    for name in _SCM:
        yield from _scm(tools.get(name), f"tool.{name}")
    yield from hatch(_table(tools, "hatch"))
    poetry = _table(tools, "poetry")
    if not isinstance(script := poetry.get("build", {}), Mapping):  # run whatever its name ends in
        yield f"tool.poetry.build: {script}"
    yield from sources([poetry.get(key) for key in ("source", "dependencies", "group")])


def hatch(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what hatchling is told to run, to learn the version by, or to install to build.

    It reads these from ``hatch.toml``, too, and that file's before those of ``pyproject.toml``.
    """
    yield from _hooks(settings, "tool.hatch")
    version = _table(settings, "version")
    yield from _scm(version.get("raw-options"), "tool.hatch.version.raw-options")
    source = version.get("source", "regex")
    if source not in _VERSION_SOURCES:
        yield f"tool.hatch.version.source: {source}"
    for one in _build_dependencies(_table(settings, "build")):
        yield one
        yield from builders([one])


def _build_dependencies(node: Any) -> Iterator[str]:
    """Yield requirements of a build, wherever in its settings: of targets and of their hooks."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _strings(value) if key == "dependencies" else _build_dependencies(value)


def _scm(settings: Any, path: str) -> Iterator[str]:
    """Yield what setuptools-scm is told to run, or to write as a file of Python."""
    if not isinstance(settings, Mapping):
        return
    for key, value in settings.items():
        is_of_code = key.endswith("_scheme") and ":" in str(value)
        if key not in _SCM_HARMLESS or is_of_code:
            yield f"{path}.{key}: {value}"


def _files(node: Any) -> Iterator[str]:
    """Yield the files that a list of requirements is read from; a list itself is as no file."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "file":
                yield from map(str, listed(value))
            else:
                yield from _files(value)
    elif node is not None:
        yield ""


def _hooks(node: Any, path: str) -> Iterator[str]:
    """Yield what a build system is told to run, wherever in its settings."""
    if isinstance(node, list):
        for one in node:
            yield from _hooks(one, path)
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _HOOKS and not _is_harmless(value):
                yield f"{path}.{key}: {value}"
            else:
                yield from _hooks(value, f"{path}.{key}")


def _is_harmless(hooks: Any) -> bool:
    return (
        isinstance(hooks, Mapping)
        and set(hooks) <= _HARMLESS_HOOKS
        and not any("template" in _table(hooks, name) for name in hooks)  # of a file of Python
    )


def uv(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what settings of uv ask for; those that are not known to be harmless as they are."""
    for key, value in settings.items():
        if key in _UV_REQUIREMENTS:
            yield from _strings(value)
        elif key in _UV_ADDRESSES:
            yield from (f"--{key} {one}" for one in listed(value))
        elif key in {"index", "sources"}:
            yield from sources(value)
        elif key == "extra-build-dependencies" and isinstance(value, Mapping):
            yield from (line for one in value.values() for line in _strings(one))
        elif key == "pip" and isinstance(value, Mapping):
            yield from uv(value)
        elif key not in _UV_HARMLESS:
            yield f"tool.uv.{key}: {value}"


def uv_file(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``uv.toml`` asks for; of which project it speaks is not said there."""
    yield from uv(settings)
    for requirements in _table(settings, "extra-build-dependencies").values():
        yield from builders(_strings(requirements))


def sources(node: Any) -> Iterator[str]:
    """Yield where distributions come from, if not from the Python Package Index or the project."""
    if isinstance(node, list):
        for one in node:
            yield from sources(one)
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        is_text = isinstance(value, str)
        if is_text and key in _ADDRESSES:
            if "://" not in value:
                yield f"{key}: {value}"
            elif not value.startswith(_HOMES):
                yield f"git+{value}" if key == "git" else value
        elif (is_text and key in _FOLDERS and value != ".") or (
            key in _LOCAL and isinstance(value, str | bool)
        ):
            yield f"{key}: {value}"
        else:
            yield from sources(value)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _strings(value: Any) -> Iterator[str]:
    """Yield the requirements in a list, each on one line."""
    yield from (" ".join(one.split()) for one in listed(value) if isinstance(one, str))


def listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
