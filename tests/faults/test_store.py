"""Whatever the artefact store does while a study is at work, the study ends whole or says why."""

import socket
import sys
import time

import pytest

from tests.crowetrade_site.embedded.faults import wait_until
from tests.faults.disk import disk
from tests.faults.installation import PATIENCE, Installation
from tests.faults.proxy import Proxy
from tests.faults.studying import (
    LONG,
    await_study,
    chunks,
    column,
    forget_chunks,
    ledger,
    spec,
    start_workers,
    stop_workers,
    undisturbed,
)

pytestmark = pytest.mark.faults

BUCKET = "artifacts"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PATIENT, IMPATIENT = {"CROWETRADE_STORE_PATIENCE_SECONDS": "120"}, "3"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def start_store(site: Installation) -> Proxy:
    """Start an S3 server with a bucket, and what stands between it and the workers."""
    boto3 = pytest.importorskip("boto3", reason="needs requirements/test.txt")
    pytest.importorskip("moto.server", reason="needs requirements/test.txt")
    port = free_port()
    site.start("store", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, 60)
    client = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    client.create_bucket(Bucket=BUCKET)
    client.close()
    return Proxy("127.0.0.1", port)


def at_work(site: Installation, letter: str, *, most: int = 40) -> str:
    """Return a study that has begun and takes nothing over."""
    forget_chunks(site, letter)
    run_id = site.queue(spec(site, most=most))
    wait_until(lambda: chunks(site, run_id).get("done", 0) > 2, LONG)
    return run_id


def restart_workers(site: Installation, **more: str) -> None:
    """Start the workers anew with other settings."""
    stop_workers(site)
    before = dict(site.environment)
    site.environment |= more
    start_workers(site)
    site.environment = before


@pytest.fixture(scope="module")
def remote(install):
    """An installation whose store is a bucket behind a proxy; what a study gives undisturbed."""
    site = install(**KEYS | PATIENT)
    proxy = start_store(site)
    site.environment |= {
        "CROWETRADE_S3_BUCKET": BUCKET, "CROWETRADE_S3_ENDPOINT": proxy.url,
        "CROWETRADE_S3_REGION": "us-east-1", "CROWETRADE_S3_TIMEOUT_SECONDS": "2",
    }  # fmt: skip
    try:
        yield site, proxy, *undisturbed(site)
    finally:
        proxy.close()


class TestBucket:
    """One class, so that parallel test processes share one installation."""

    @pytest.fixture(autouse=True)
    def _whole_again(self, remote):
        yield
        remote[1].become("pass")

    def ended_the_same(self, remote, run_id: str) -> None:
        site, _, digest, counted = remote
        run = await_study(site, run_id)
        assert (run["status"], run["result_digest"]) == ("succeeded", digest), run["problem"]
        assert ledger(site) == counted
        assert set(chunks(site, run_id)) == {"done"}
        assert site.verbs(run_id)[-1] == "succeeded"
        assert site.trail_holds()

    @pytest.mark.parametrize("mode", ["refuse", pytest.param("cut", marks=pytest.mark.long)])
    def test_that_fails_for_a_while_is_waited_for(self, remote, mode):
        site, proxy, *_ = remote
        run_id = at_work(site, mode[0])

        proxy.become(mode)
        wait_until(lambda: sum(column(site, run_id, "resumptions")) > 1, PATIENCE)
        time.sleep(3)
        assert site.run(run_id)["status"] == "running", site.run(run_id)["problem"]
        assert proxy.n_disturbed
        proxy.become("pass")

        self.ended_the_same(remote, run_id)

    @pytest.mark.long
    def test_that_is_slow_only_takes_longer(self, remote):
        site, proxy, *_ = remote
        run_id = at_work(site, "s")

        proxy.become("slow")
        wait_until(lambda: proxy.n_disturbed > 20, LONG)
        proxy.become("pass")

        self.ended_the_same(remote, run_id)

    @pytest.mark.long
    def test_that_cannot_be_read_keeps_the_end_of_a_study_waiting(self, remote):
        site, proxy, *_ = remote
        run_id = at_work(site, "e")
        # the same rows were read before; workers are writing beside them, so the folders stay
        for cached in (site.home / "cache" / "artifacts").glob("??/??/*"):
            cached.unlink()

        proxy.become("refuse_reads")
        wait_until(lambda: site.run(run_id)["phase"] == "waiting for the store", LONG)
        proxy.become("pass")

        self.ended_the_same(remote, run_id)

    @pytest.mark.long
    def test_that_is_away_for_good_ends_the_study_which_can_be_asked_for_again(self, remote):
        site, proxy, *_ = remote
        restart_workers(site, CROWETRADE_STORE_PATIENCE_SECONDS=IMPATIENT)
        run_id = at_work(site, "g")

        proxy.become("refuse")
        run = await_study(site, run_id)
        found = chunks(site, run_id)
        proxy.become("pass")
        restart_workers(site)
        again = site.queue(spec(site))

        assert run["status"] == "failed"
        assert "does not answer" in run["problem"]["detail"]
        assert "taken over" in run["problem"]["detail"]
        assert found["done"] > 2
        assert site.verbs(run_id)[-1] == "failed"
        self.ended_the_same(remote, again)
        assert sum(column(site, again, "is_reused")) >= found["done"]
        wait_until(lambda: not {"queued", "running"} & set(chunks(site, run_id)), 20)

    @pytest.mark.long
    def test_that_hangs_does_not_keep_a_study_from_being_cancelled(self, remote):
        site, proxy, *_ = remote
        run_id = at_work(site, "h", most=150)  # more than is done before it is cancelled
        canceller = site.python(
            """
            from django.utils import timezone
            from backtests import services
            from crowetrade_site.core.services import console_user
            services.cancel_run(
                run_id=sys.stdin.readline().strip(), actor=console_user(), at=timezone.now()
            )
            """
        )

        proxy.delay = 30.0
        proxy.become("slow")
        canceller.communicate(f"{run_id}\n", timeout=60)
        run = await_study(site, run_id)

        assert run["status"] == "cancelled"
        assert (run["finished_at"] - run["cancel_requested_at"]).total_seconds() < 2
        wait_until(lambda: not {"queued", "running"} & set(chunks(site, run_id)), 40)


@pytest.fixture(scope="module")
def cramped(install):
    """An installation whose store is on a disk that can be full."""
    site = install(**PATIENT)
    folder = site.home / "disk"

    def workers() -> list[int]:
        names = [name for name in ("study0", "study1", "worker") if name in site.started]
        parents = [site.started[name].pid for name in names]
        return [pid for name in names for pid in site.children(name)] + parents

    site.environment["CROWETRADE_ARTIFACT_ROOT"] = str(folder)
    with disk(folder, workers) as kept:
        yield site, kept, *undisturbed(site)


class TestFullDisk:
    def test_is_waited_for_until_there_is_room(self, cramped):
        site, kept, digest, counted = cramped
        run_id = at_work(site, "d")

        kept.fill()
        wait_until(lambda: sum(column(site, run_id, "resumptions")) > 1, PATIENCE)
        assert site.run(run_id)["status"] == "running", site.run(run_id)["problem"]
        kept.free()
        run = await_study(site, run_id)

        assert (run["status"], run["result_digest"]) == ("succeeded", digest), run["problem"]
        assert ledger(site) == counted
        assert site.trail_holds()

    @pytest.mark.long
    def test_that_stays_full_ends_the_study_which_can_be_asked_for_again(self, cramped):
        site, kept, digest, counted = cramped
        restart_workers(site, CROWETRADE_STORE_PATIENCE_SECONDS=IMPATIENT)
        run_id = at_work(site, "f")

        kept.fill()
        run = await_study(site, run_id)
        found = chunks(site, run_id)
        kept.free()
        restart_workers(site)
        again = site.queue(spec(site))
        second = await_study(site, again)

        assert run["status"] == "failed"
        assert run["problem"]["status"] == 507
        assert "no room left" in run["problem"]["detail"]
        assert found["done"] > 2
        assert (second["status"], second["result_digest"]) == ("succeeded", digest)
        assert sum(column(site, again, "is_reused")) >= found["done"]
        assert ledger(site) == counted
