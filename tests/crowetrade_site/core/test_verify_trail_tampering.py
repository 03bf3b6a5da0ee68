"""Whatever is changed in the files of an export, the stand-alone verifier names where it shows."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crowetrade_site.core import canonical, exporting, merkle, signing
from tests.crowetrade_site.core.exports import change, lines, rewrite, verdict
from tests.crowetrade_site.core.trail import NOON, sealed

pytestmark = pytest.mark.django_db
OTHER = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
OTHER_RAW = OTHER.public_key().public_bytes_raw()
OTHER_ID = hashlib.sha256(OTHER_RAW).hexdigest()[:16]


@pytest.fixture
def exported(tmp_path, make_user) -> Path:
    """Export three seals of four entries each."""
    sealed(4, n_seals=3)
    return exporting.export(
        out=tmp_path / "export", actor=make_user("auditor"), at=NOON, reason="yearly"
    ).folder


def restated(seal: dict, key: Ed25519PrivateKey, key_id: str, **changes: object) -> dict:
    """Return a seal with another statement, signed by somebody."""
    statement = canonical.encode(json.loads(seal["statement"]) | changes)
    digest = merkle.seal_hash(statement.encode())
    return {
        "statement": statement, "digest": digest.hex(), "key_id": key_id,
        "signature": key.sign(digest).hex(),
    }  # fmt: skip


def own_key() -> tuple[Ed25519PrivateKey, str]:
    key = signing.private_key()
    return key.private, key.key_id


def forge_key(folder: Path) -> None:
    keys = json.loads((folder / "keys.json").read_text())
    (folder / "keys.json").write_text(json.dumps(keys | {OTHER_ID: OTHER_RAW.hex()}))


class TestVerify:
    def test_finds_an_edited_entry(self, exported):
        entry = lines(exported / "entries.jsonl")[5]
        text = entry["canonical"].replace('"system"', '"mallory"')
        change(exported / "entries.jsonl", 5, canonical=text)

        assert verdict(exported) == (
            f"BROKEN: entry {entry['id']}: its content differs from its leaf hash"
        )

    def test_finds_an_entry_edited_with_its_leaf(self, exported):
        text = lines(exported / "entries.jsonl")[5]["canonical"].replace('"system"', '"mallory"')
        leaf = merkle.leaf_hash(text.encode()).hex()
        change(exported / "entries.jsonl", 5, canonical=text, leaf=leaf)

        assert verdict(exported) == "BROKEN: seal 2: the Merkle root differs from its entries"

    @pytest.mark.parametrize(
        ("at", "fault"),
        [
            (5, "seal 2: the entry at its leaf 1 is gone or moved"),
            (7, "seal 2: 3 of 4 entries are there"),
            (11, "seal 3: 3 of 4 entries are there"),
        ],
    )
    def test_finds_a_removed_entry(self, exported, at, fault):
        documents = lines(exported / "entries.jsonl")
        del documents[at]
        rewrite(exported / "entries.jsonl", documents)

        assert verdict(exported) == f"BROKEN: {fault}"

    def test_finds_two_swapped_lines(self, exported):
        documents = lines(exported / "entries.jsonl")
        documents[5], documents[6] = documents[6], documents[5]
        rewrite(exported / "entries.jsonl", documents)

        assert verdict(exported) == "BROKEN: seal 2: the entry at its leaf 1 is gone or moved"

    def test_finds_two_entries_that_changed_places(self, exported):
        documents = lines(exported / "entries.jsonl")
        documents[5], documents[6] = (
            documents[6] | {"position": 1}, documents[5] | {"position": 2},
        )  # fmt: skip
        rewrite(exported / "entries.jsonl", documents)

        assert verdict(exported) == "BROKEN: seal 2: the Merkle root differs from its entries"

    def test_finds_an_added_entry(self, exported):
        documents = lines(exported / "entries.jsonl")
        documents.append(documents[-1] | {"position": 4})
        rewrite(exported / "entries.jsonl", documents)

        assert verdict(exported) == "BROKEN: seal 3: 5 of 4 entries are there"

    def test_finds_an_edited_seal(self, exported):
        seal = lines(exported / "seals.jsonl")[1]
        edited = seal["statement"].replace('"count":4', '"count":3')
        change(exported / "seals.jsonl", 1, statement=edited)

        assert verdict(exported) == "BROKEN: seal 2: its digest differs from its statement"

    def test_finds_a_seal_edited_with_its_digest(self, exported):
        seal = lines(exported / "seals.jsonl")[1]
        edited = restated(seal, *own_key(), count=3) | {"signature": seal["signature"]}
        change(exported / "seals.jsonl", 1, **edited)

        assert verdict(exported) == (
            f"BROKEN: seal 2: the signature is not by key {seal['key_id']}"
        )

    def test_finds_a_replaced_signature(self, exported):
        documents = lines(exported / "seals.jsonl")
        change(exported / "seals.jsonl", 1, signature=documents[0]["signature"])

        assert verdict(exported) == (
            f"BROKEN: seal 2: the signature is not by key {documents[1]['key_id']}"
        )

    def test_finds_a_seal_signed_again_by_an_unknown_key(self, exported):
        seal = lines(exported / "seals.jsonl")[1]
        change(exported / "seals.jsonl", 1, **restated(seal, OTHER, OTHER_ID))

        assert verdict(exported) == (
            f"BROKEN: seal 2: it is signed by key {OTHER_ID}, which is none of the known"
        )

    def test_finds_a_forged_key_by_the_checkpoints(self, exported):
        forge_key(exported)
        seal = lines(exported / "seals.jsonl")[1]
        change(exported / "seals.jsonl", 1, **restated(seal, OTHER, OTHER_ID))

        assert verdict(exported) == "BROKEN: seal 2: it differs from the published checkpoint"

    def test_finds_a_trail_forged_in_all_its_files_by_the_key_one_trusts(self, exported):
        real = next(iter(json.loads((exported / "keys.json").read_text()).values()))
        assert verdict(exported, "--key", real, code=0) == "The trail holds."

        forge_key(exported)
        forged = [restated(s, OTHER, OTHER_ID) for s in lines(exported / "seals.jsonl")]
        for name in ("seals.jsonl", "checkpoints.jsonl"):
            rewrite(exported / name, forged)

        assert verdict(exported, code=0) == "The trail holds."
        assert verdict(exported, "--key", real) == (
            f"BROKEN: seal 1: it is signed by key {OTHER_ID}, which is none of the known"
        )

    def test_finds_another_key_under_the_name_of_one(self, exported):
        name = lines(exported / "seals.jsonl")[0]["key_id"]
        (exported / "keys.json").write_text(json.dumps({name: OTHER_RAW.hex()}))

        assert verdict(exported) == f"BROKEN: keys.json: key {name} is really key {OTHER_ID}"

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"number": 7}, "it is gone or out of order, here is seal 7"),
            ({"previous": "0" * 64}, "it does not follow seal 1"),
            ({"count": 5}, "4 of 5 entries are there"),
            ({"root": "0" * 64}, "the Merkle root differs from its entries"),
            ({"number": None}, "its statement is not that of a seal"),
        ],
    )
    def test_finds_what_the_owner_of_the_key_states_wrongly(self, exported, changes, fault):
        seal = lines(exported / "seals.jsonl")[1]
        change(exported / "seals.jsonl", 1, **restated(seal, *own_key(), **changes))

        assert verdict(exported) == f"BROKEN: seal 2: {fault}"

    @pytest.mark.parametrize(
        ("at", "fault"),
        [
            (0, "seal 1: it is gone or out of order, here is seal 2"),
            (1, "seal 2: it is gone or out of order, here is seal 3"),
            (2, "seal 3: it is gone or out of order, and its entries are there"),
        ],
    )
    def test_finds_a_removed_seal(self, exported, at, fault):
        documents = lines(exported / "seals.jsonl")
        del documents[at]
        rewrite(exported / "seals.jsonl", documents)

        assert verdict(exported) == f"BROKEN: {fault}"

    @pytest.mark.parametrize("field", ["digest", "signature", "key_id"])
    def test_finds_an_edited_checkpoint(self, exported, field):
        edited = lines(exported / "checkpoints.jsonl")[1][field].translate(
            str.maketrans("0123456789abcdef", "123456789abcdef0")
        )
        change(exported / "checkpoints.jsonl", 1, **{field: edited})

        assert verdict(exported) == "BROKEN: seal 2: it differs from the published checkpoint"

    def test_finds_a_checkpoint_with_another_statement(self, exported):
        seal = lines(exported / "checkpoints.jsonl")[1]
        edited = seal["statement"].replace('"count":4', '"count":3')
        change(exported / "checkpoints.jsonl", 1, statement=edited)

        assert verdict(exported) == "BROKEN: seal 2: it differs from the published checkpoint"

    @pytest.mark.parametrize("name", ["entries", "seals", "checkpoints"])
    def test_finds_a_file_cut_off_within_a_line(self, exported, name):
        path = exported / f"{name}.jsonl"
        n_lines = len(lines(path))
        path.write_bytes(path.read_bytes()[:-20])

        assert verdict(exported) == (
            f"BROKEN: {name}.jsonl, line {n_lines}: it is cut off or damaged"
        )

    def test_finds_checkpoints_cut_off_between_lines(self, exported):
        documents = lines(exported / "checkpoints.jsonl")
        rewrite(exported / "checkpoints.jsonl", documents[:2])
        assert verdict(exported) == "BROKEN: checkpoints.jsonl: 2 of 3 checkpoints are there"

        rewrite(exported / "checkpoints.jsonl", documents[:1])
        assert verdict(exported) == "BROKEN: seal 2: its published checkpoint is missing"

    def test_finds_a_tail_cut_off_all_files(self, exported, tmp_path):
        kept = tmp_path / "kept.jsonl"
        kept.write_bytes((exported / "checkpoints.jsonl").read_bytes())
        for name, length in (("entries", 8), ("seals", 2), ("checkpoints", 2)):
            rewrite(exported / f"{name}.jsonl", lines(exported / f"{name}.jsonl")[:length])

        assert verdict(exported) == "BROKEN: entries.jsonl: 8 of 12 entries are there"

        about = json.loads((exported / "export.json").read_text())
        about |= {"entries": 8, "seals": 2, "checkpoints": 2}
        (exported / "export.json").write_text(json.dumps(about))
        assert verdict(exported, code=0) == "The trail holds."
        assert verdict(exported, "--checkpoints", str(kept)) == (
            "BROKEN: seal 3: it was published and is not in the export (checkpoints copied after "
            "the export name seals that are newer than it)"
        )

    def test_takes_checkpoints_as_the_platform_keeps_them(self, exported):
        path = signing.checkpoint_path()
        path.write_bytes(b'\n{"digest":"torn' + path.read_bytes())

        assert verdict(exported, "--checkpoints", str(path), code=0) == "The trail holds."

    @pytest.mark.parametrize(
        ("name", "content", "fault"),
        [
            ("entries.jsonl", "{}\n", "entries.jsonl, line 1: it is no entry"),
            ("entries.jsonl", "[" * 99_999 + "\n", "entries.jsonl, line 1: it is cut off"),
            ("seals.jsonl", '{"statement":1}\n', "seals.jsonl, line 1: it is no seal"),
            ("seals.jsonl", '{"statement":"\\ud800"}\n', "seals.jsonl, line 1: it is no seal"),
            ("keys.json", "[]", "keys.json: it is cut off or damaged"),
            ("keys.json", '{"x":"00"}', "keys.json: key x is no Ed25519 key"),
            ("export.json", "{}", "export.json: the format is not crowetrade-audit-1"),
            ("export.json", "", "export.json: it is cut off or damaged"),
        ],
    )
    def test_says_what_it_cannot_read(self, exported, name, content, fault):
        (exported / name).write_text(content)

        assert verdict(exported).startswith(f"BROKEN: {fault}")

    @pytest.mark.parametrize(
        "name", ["entries.jsonl", "seals.jsonl", "checkpoints.jsonl", "keys.json", "export.json"]
    )
    def test_names_a_missing_file(self, exported, name):
        (exported / name).unlink()

        assert verdict(exported) == (
            f"BROKEN: {name}: it cannot be read, No such file or directory"
        )

    def test_does_not_let_a_file_steer_the_terminal(self, exported):
        change(exported / "seals.jsonl", 0, key_id="\x1b[2J")

        assert "signed by key ?[2J," in verdict(exported)
