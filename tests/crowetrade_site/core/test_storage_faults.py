"""Crashes, full disks and large objects: an object is there whole, or not at all."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from crowetrade_site.core import storage

PROJECT = Path(__file__).resolve().parents[3]
SETUP = """
    import os, sys
    from pathlib import Path
    from django.conf import settings
    root = Path(sys.argv[1])
    settings.configure(
        ARTIFACT_ROOT=root, ARTIFACT_S3_BUCKET="",
        STORAGES={"artifacts": {
            "BACKEND": "crowetrade_site.core.storage.WriteOnceFileSystemStorage",
            "OPTIONS": {"location": root},
        }},
    )
    from crowetrade_site.core import storage
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run code beside the store of a folder, in a process that can be killed."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(SETUP) + textwrap.dedent(code),
            *map(str, arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )


def objects(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and len(path.name) == 64]


def leftovers(root: Path) -> list[Path]:
    return list(root.rglob(f"{storage.INCOMING}*"))


class Torn:
    """A file whose disk fails after the first chunks."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks

    def read(self, size: int) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise OSError("I/O error")
        return b"x" * size


class TestPutThatFails:
    def test_leaves_nothing_when_its_source_breaks(self, settings):
        with pytest.raises(OSError, match="I/O error"):
            storage.put(Torn(3))

        assert not objects(settings.ARTIFACT_ROOT)
        assert not leftovers(settings.ARTIFACT_ROOT)

    @pytest.mark.parametrize("step", ["fsync", "link"])
    def test_leaves_nothing_under_a_name_when_a_step_breaks(self, step, settings, monkeypatch):
        def broken(*_: object) -> None:
            raise OSError("I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(storage.os, step, broken)
            with pytest.raises(OSError, match="I/O error"):
                storage.put(b"content")

        assert not objects(settings.ARTIFACT_ROOT)
        assert not leftovers(settings.ARTIFACT_ROOT)
        assert storage.read(storage.put(b"content")) == b"content"

    @pytest.mark.faults
    def test_leaves_nothing_under_a_name_when_it_is_killed(self, settings):
        root = settings.ARTIFACT_ROOT
        child = start(
            """
            class Endless:
                def read(self, size):
                    print("chunk", flush=True)
                    return b"x" * size
            storage.put(Endless())
            """,
            root,
        )
        for _ in range(5):
            assert child.stdout.readline() == "chunk\n"
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=20)

        assert not objects(root)
        (leftover,) = leftovers(root)
        storage.put(b"content")
        assert leftover.exists(), "it may belong to a writer that is at work"

        day_ago = time.time() - storage.LEFTOVER_SECONDS - 1
        os.utime(leftover, (day_ago, day_ago))
        digest = storage.put(b"other content")
        assert not leftover.exists()
        assert storage.read(digest) == b"other content"

    @pytest.mark.faults
    def test_leaves_nothing_when_the_disk_is_full(self, settings):
        root = settings.ARTIFACT_ROOT
        child = start(
            """
            import io, resource, signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 21, 1 << 21))
            try:
                storage.put(io.BytesIO(b"x" * (1 << 23)))
            except storage.StoreFull as error:
                print("refused", error.__cause__.errno)
            print(storage.put(b"small"))
            """,
            root,
        )
        output, errors = child.communicate(timeout=30)

        assert output.split() == ["refused", "27", hashlib.sha256(b"small").hexdigest()], errors
        assert [path.name for path in objects(root)] == [hashlib.sha256(b"small").hexdigest()]
        assert not leftovers(root)


class TestPutOfALargeObject:
    @pytest.mark.slow
    def test_needs_little_memory(self, settings):
        child = start(
            """
            import resource
            class Zeros:
                left = 300
                def read(self, size):
                    self.left -= 1
                    return bytes(1 << 20) if self.left >= 0 else b""
            storage.put(b"warm")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            digest = storage.put(Zeros())
            with storage.stream(digest) as file:
                size = sum(len(chunk) for chunk in iter(lambda: file.read(1 << 20), b""))
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(size >> 20, (after - before) / 1024)
            """,
            settings.ARTIFACT_ROOT,
        )
        output, errors = child.communicate(timeout=60)

        size_mb, growth_mb = map(float, output.split())
        assert size_mb == 300, errors
        assert growth_mb < 32
