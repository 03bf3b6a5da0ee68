"""Manifests, and the digest that names a version."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowetrade_site.core import canonical
from registry.artifacts.errors import (
    ArtifactError,
    DigestMismatchError,
    LimitExceededError,
    ManifestError,
    UnsafePathError,
)
from registry.artifacts.limits import Limits
from registry.artifacts.manifest import FileEntry, Manifest, open_regular, read_verified

# Sorted part by part, "a/b" comes before "a.txt"; sorted as texts, after it.
FILES = {"a.txt": b"1", "a/b": b"2", "a/b.c": b"3", "Z": b"4", "a-b/c": b"5", "é": b"6"}


def entry(path: str, content: bytes) -> FileEntry:
    return FileEntry(path, hashlib.sha256(content).hexdigest(), len(content))


class TestVersionDigest:
    def test_is_that_of_model_signing(self, folder_of):
        hashing = pytest.importorskip("model_signing.hashing")
        payload = pytest.importorskip("model_signing._signing.signing").Payload
        folder, manifest = folder_of(FILES)

        theirs = payload(hashing.Config().hash(folder)).statement.pb

        assert manifest.version_digest == theirs.subject[0].digest["sha256"]
        resources = theirs.predicate["resources"]
        assert [e.path for e in manifest.files] == [r["name"] for r in resources]
        assert [e.sha256 for e in manifest.files] == [r["digest"] for r in resources]

    def test_is_the_hash_of_the_joined_hashes_in_their_order(self):
        manifest = Manifest.of([entry("a.txt", b"1"), entry("a/b", b"2")])

        joined = hashlib.sha256(b"2").digest() + hashlib.sha256(b"1").digest()
        assert manifest.version_digest == hashlib.sha256(joined).hexdigest()

    @given(st.permutations(sorted(FILES)))
    def test_does_not_depend_on_the_order_given(self, order):
        assert (
            Manifest.of(entry(path, FILES[path]) for path in order).to_bytes()
            == Manifest.of(entry(path, content) for path, content in FILES.items()).to_bytes()
        )

    def test_does_not_tell_a_renamed_file_but_the_content_digest_does(self):
        first, second = Manifest.of([entry("a", b"1")]), Manifest.of([entry("b", b"1")])

        assert first.version_digest == second.version_digest
        assert first.content_digest != second.content_digest


class TestManifest:
    def test_is_canonical_json(self, folder_of):
        _, manifest = folder_of(FILES)

        assert manifest.to_bytes().decode() == canonical.encode(manifest.to_json())

    def test_comes_back_from_its_document(self, folder_of):
        _, manifest = folder_of(FILES)

        assert Manifest.from_bytes(manifest.to_bytes()) == manifest

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: d.update(format=2),
            lambda d: d.update(version_digest="0" * 64),
            lambda d: d.pop("files"),
            lambda d: d.update(files=[]),
            lambda d: d.update(files=[3]),
            lambda d: d["files"][0].update(sha256="0" * 64),
            lambda d: d["files"][0].update(sha256="xyz"),
            lambda d: d["files"][0].update(path="../a"),
            lambda d: d["files"][0].update(path=3),
            lambda d: d["files"][0].update(path="e\u0301"),
            lambda d: d["files"][0].update(n_bytes=True),
            lambda d: d["files"][0].update(n_bytes=-1),
            lambda d: d["files"].append(d["files"][0]),
        ],
    )
    def test_refuses_a_document_that_was_changed(self, folder_of, change):
        _, manifest = folder_of(FILES)
        document = manifest.to_json()
        change(document)

        with pytest.raises((ManifestError, UnsafePathError)):
            Manifest.from_json(document)

    @pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"\xff", b"[" * 100_000])
    def test_refuses_other_bytes(self, raw):
        with pytest.raises(ManifestError):
            Manifest.from_bytes(raw)

    def test_does_not_follow_links(self, folder_of):
        folder, _ = folder_of(FILES)
        (folder / "link").symlink_to("/etc/passwd")

        with pytest.raises(ManifestError, match="link"):
            Manifest.of_folder(folder)
        with pytest.raises(ArtifactError):
            open_regular(folder / "link")

    def test_does_not_wait_for_a_pipe(self, folder_of):
        folder, _ = folder_of(FILES)
        os.mkfifo(folder / "pipe")

        with pytest.raises(ManifestError):
            Manifest.of_folder(folder)
        with pytest.raises(ArtifactError):
            open_regular(folder / "pipe")

    @pytest.mark.parametrize(
        "limits", [Limits(n_files=3), Limits(total_bytes=3), Limits(file_bytes=0)]
    )
    def test_keeps_to_its_limits(self, folder_of, limits):
        folder, _ = folder_of(FILES)

        with pytest.raises(LimitExceededError):
            Manifest.of_folder(folder, limits)


class TestReadVerified:
    def test_returns_the_bytes_registered(self, folder_of):
        folder, manifest = folder_of(FILES)

        assert {e.path: read_verified(folder, e) for e in manifest.files} == FILES

    @pytest.mark.parametrize("content", [b"", b"0", b"11"])
    def test_refuses_any_others(self, folder_of, content):
        folder, manifest = folder_of({"a": b"1"})
        (folder / "a").write_bytes(content)

        with pytest.raises(DigestMismatchError, match="a is not what was registered"):
            read_verified(folder, manifest.files[0])
