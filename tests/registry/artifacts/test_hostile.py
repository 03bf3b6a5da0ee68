"""Hostile files: each is named for what it is, and none of it runs."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from registry.artifacts.contents import Format
from registry.artifacts.errors import ArtifactError
from registry.artifacts.findings import Decision
from registry.artifacts.formats import inspect_folder
from registry.artifacts.loading import open_model
from registry.artifacts.locks import landlock_abi
from registry.artifacts.manifest import Manifest
from registry.artifacts.sandbox import ProbeStatus, is_available, probe
from tests.registry.artifacts.hostile import KINDS, harmless_skops

ROOT = Path(__file__).resolve().parents[3]
HARMLESS = hashlib.sha256(harmless_skops()).hexdigest()
EXECUTING = [name for name, kind in KINDS.items() if kind.opener]
# Opens each version with the loader that runs it, one after the other in one process.
PROGRAM = """
import base64, importlib, json, marshal, os, pickle, sys, types, zipfile
from pathlib import Path
import joblib, numpy as np, pandas, skops.io, yaml
import cProfile, codecs, pstats, pydoc, subprocess, timeit
import numpy.f2py.crackfortran, numpy.testing._private.utils
codecs.lookup("cp437")
openers, is_locked, root = json.loads(sys.argv[1]), sys.argv[2] == "locked", sys.argv[3]
pid = os.fork()  # leaves the threads of numeric libraries behind
if pid:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
if is_locked:
    sys.path.insert(0, root)
    from registry.artifacts.locks import SandboxLimits, library_folders, lock_down
    readable = [*library_folders(), *(Path(folder) for folder, _ in openers)]
    readable += [Path(openers[0][0]).parents[1]]
    lock_down(SandboxLimits(), readable)
for folder, opener in openers:
    folder = Path(folder)
    try:
        exec(opener)
        print(folder.name, "returned")
    except BaseException as error:
        print(folder.name, type(error).__name__, error)
sys.stdout.flush()
"""


@pytest.fixture
def open_place():
    """A folder that anybody may write to: only the sandbox keeps files out of it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o777)
        yield place


def write(place: Path, name: str) -> tuple[Path, Path]:
    """Write a hostile version for everybody to read; return its folder and its canary."""
    canary = place / f"canary-{name}"
    folder = place / "versions" / name
    for path, content in KINDS[name].make(canary).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder, canary


def open_all(place: Path, how: str) -> dict[str, bool]:
    """Open every executing kind in a child process; return which of them had an effect."""
    written = {name: write(place, name) for name in EXECUTING}
    openers = [(str(folder), KINDS[name].opener) for name, (folder, _) in written.items()]
    argv = [sys.executable, "-c", PROGRAM, json.dumps(openers), how, str(ROOT)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        argv,
        cwd=place,
        env=os.environ | threads,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # An opener that fails before it comes to its payload would prove nothing.
    assert not re.findall(
        r"\w+ (?:LookupError|ModuleNotFoundError|FileNotFoundError).*", done.stdout
    )
    return {name: canary.exists() for name, (_, canary) in written.items()}


class TestHostileFiles:
    @pytest.mark.parametrize("name", KINDS)
    def test_are_refused_by_name_and_run_nothing(self, name, tmp_path):
        folder, canary = write(tmp_path, name)
        manifest = Manifest.of_folder(folder)

        verdict = inspect_folder(folder, manifest)

        assert verdict.decision is Decision.REFUSED
        found = [f for f in verdict.findings if f.code == KINDS[name].code]
        assert any(KINDS[name].text in finding.text for finding in found), verdict.summary
        assert not canary.exists()

    @pytest.mark.parametrize("name", KINDS)
    def test_are_opened_as_nothing(self, name, tmp_path):
        folder, canary = write(tmp_path, name)
        manifest = Manifest.of_folder(folder)

        for entry in manifest.files:
            if entry.sha256 == HARMLESS:
                continue  # in a hostile folder
            for model_format in (Format.SKOPS, Format.ONNX, Format.PICKLE, Format.UNKNOWN):
                with pytest.raises(ArtifactError):
                    open_model(folder, manifest, model_path=entry.path, model_format=model_format)
        assert not canary.exists()

    @pytest.mark.parametrize("name", EXECUTING)
    def test_are_not_unpickled_in_the_sandbox_either(self, name, tmp_path):
        folder, canary = write(tmp_path, name)

        for entry in Manifest.of_folder(folder).files:
            answer = probe(folder, entry, Format.PICKLE, opens_pickles=True)
            assert answer.status in {ProbeStatus.REFUSED, ProbeStatus.PENDING}

        assert not canary.exists()

    def test_are_many(self):
        assert len(KINDS) >= 50
        assert len(EXECUTING) >= 30


class TestTheSandboxAlone:
    def test_would_see_every_effect_without_its_locks(self, open_place):
        effects = open_all(open_place, "unlocked")

        assert [name for name, happened in effects.items() if not happened] == []

    @pytest.mark.skipif(not landlock_abi(), reason="this kernel has no Landlock")
    def test_stops_every_effect_with_the_list_of_names_off(self, open_place):
        effects = open_all(open_place, "locked")

        assert [name for name, happened in effects.items() if happened] == []

    def test_says_why_where_it_is_not_available(self):
        available = is_available()

        assert available.is_available or available.reason
