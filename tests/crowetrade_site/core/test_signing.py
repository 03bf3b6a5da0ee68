import json
import logging
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from crowetrade_site.core import seals, signing
from tests.crowetrade_site.core.trail import sealed

pytestmark = pytest.mark.django_db


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestPrivateKey:
    def test_is_drawn_once(self, settings):
        first, second = signing.private_key(), signing.private_key()

        assert first.key_id == second.key_id

    def test_is_readable_by_its_owner_alone(self, settings):
        signing.private_key()

        assert mode(settings.AUDIT_SIGNING_KEY) == 0o600
        assert mode(settings.AUDIT_SIGNING_KEY.parent) == 0o700

    def test_is_one_for_many_that_start_together(self, settings):
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(lambda _: signing.private_key().key_id, range(16)))

        assert len(set(keys)) == 1
        assert list(signing.public_keys()) == [keys[0]]
        assert not list(settings.AUDIT_SIGNING_KEY.parent.glob(".*"))

    def test_signs_what_its_public_half_verifies(self):
        key = signing.private_key()
        public = signing.public_keys()[key.key_id]

        public.verify(key.sign(b"message"), b"message")
        with pytest.raises(InvalidSignature):
            public.verify(key.sign(b"message"), b"other")

    def test_that_replaces_a_lost_one_is_announced(self, settings, caplog):
        signing.private_key()
        settings.AUDIT_SIGNING_KEY.unlink()

        with caplog.at_level(logging.WARNING):
            signing.private_key()

        assert "The signing key is gone" in caplog.text

    def test_of_another_kind_is_refused(self, settings):
        settings.AUDIT_SIGNING_KEY.parent.mkdir(parents=True)
        settings.AUDIT_SIGNING_KEY.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

        with pytest.raises(TypeError, match="not an Ed25519"):
            signing.private_key()


class TestPublicKeys:
    def test_keep_retired_keys_so_that_old_seals_verify(self, settings):
        sealed()
        settings.AUDIT_SIGNING_KEY.unlink()
        sealed()

        assert len(signing.public_keys()) == 2
        assert seals.verify().holds

    @pytest.mark.parametrize("content", [b"", b"no key", b"\xff\xfe"])
    def test_leave_out_what_is_no_key(self, settings, content):
        key = signing.private_key()
        (settings.AUDIT_CHECKPOINTS / "public_key_broken.pem").write_bytes(content)

        assert list(signing.public_keys()) == [key.key_id]

    def test_go_by_their_content_not_by_their_file(self, settings):
        key = signing.private_key()
        path = next(settings.AUDIT_CHECKPOINTS.glob("public_key_*.pem"))
        path.rename(path.with_name("public_key_0123456789abcdef.pem"))

        assert list(signing.public_keys()) == [key.key_id]


class TestCheckpoints:
    def test_are_readable_by_their_owner_alone(self):
        sealed()

        assert mode(seals.checkpoint_path()) == 0o600

    def test_can_be_verified_with_the_public_key_alone(self):
        sealed(n_seals=2)

        for line in seals.checkpoint_path().read_text().split():
            published = json.loads(line)
            signing.public_keys()[published["key_id"]].verify(
                bytes.fromhex(published["signature"]), bytes.fromhex(published["digest"])
            )

    @pytest.mark.parametrize(
        "torn", [b"\n{", b'\n{"digest":"ab', b"\n\xff\xfe\x00", b"\n[1]\n", b'\n"text"\n', b"\n7"]
    )
    def test_survive_a_torn_line(self, torn):
        sealed()
        with seals.checkpoint_path().open("ab") as file:
            file.write(torn)
        sealed()

        assert [checkpoint.number for checkpoint in signing.checkpoints()] == [1, 2]
        assert seals.verify().holds

    def test_say_when_one_is_missing(self):
        sealed(n_seals=3)
        path = seals.checkpoint_path()
        lines = [line for line in path.read_bytes().split(b"\n") if line]
        path.write_bytes(b"\n".join([lines[0], lines[2], b""]))

        assert seals.verify().broken == "seal 2: its published checkpoint is missing"

    def test_say_when_all_are_missing(self):
        sealed(n_seals=2)
        seals.checkpoint_path().unlink()

        assert seals.verify().broken == "seal 1: its published checkpoint is missing"

    @pytest.mark.parametrize("number", [0, -1])
    def test_say_when_a_number_is_none(self, number):
        sealed()
        statement = json.dumps({"number": number})
        signing.append_checkpoint(json.dumps({"digest": "ab" * 32, "statement": statement}))

        assert seals.verify().broken == (f"seal {number}: it differs from the published checkpoint")

    def test_may_be_written_twice(self):
        """Two sealers after a crash may both publish the same seal."""
        sealed()
        signing.append_checkpoint(seals.checkpoint_path().read_text().strip())

        assert seals.verify().holds

    def test_find_their_latest_number_at_the_end_of_a_long_file(self, monkeypatch):
        sealed(n_seals=5)
        monkeypatch.setattr(signing, "TAIL", 700)

        assert signing.last_published() == 5

    def test_find_their_latest_number_before_a_long_torn_tail(self, monkeypatch):
        sealed(n_seals=2)
        with seals.checkpoint_path().open("ab") as file:
            file.write(b"\n" + b"x" * 2000)
        monkeypatch.setattr(signing, "TAIL", 700)

        assert signing.last_published() == 2

    def test_are_none_before_the_first_seal(self):
        assert signing.last_published() == 0
        assert not list(signing.checkpoints())
