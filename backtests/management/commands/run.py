"""`manage.py run SPEC.yaml --wait`: queue a run and, if asked, watch it to its end."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from backtests import jobs, selectors, services, tasks
from backtests.lifecycle import RUNS, Priority, RunStatus
from backtests.models import Run
from crowetrade_site.core import documents
from crowetrade_site.core.commands import DomainCommand
from crowetrade_site.embedded.home import home, log_dir
from crowetrade_site.embedded.supervisor import Child, Supervisor

FIGURES = ("total_return", "cagr", "annual_volatility", "sharpe", "max_drawdown", "turnover")
KEPT = ("n_trials", "n_infeasible", "objective", "is_maximized", "ledger", "comparison")
LOOK_EVERY = 0.2
_WAITED_FOR = "A worker is there and will take it"
PATIENCE = 3.0


class Patience:
    """Waits until a worker takes a run and says behind what; runs out where none is there."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.said, self.looked = say, "", time.monotonic()

    def is_out(self, run: Run) -> bool:
        """Return whether a run has waited for long, and for no worker that is there."""
        now = time.monotonic()
        if run.status != RunStatus.QUEUED:
            self.looked = now
        if now - self.looked <= PATIENCE:
            return False
        self.looked, text = now, waits_for(run)
        if text and text != self.said:
            self.say(f"{text}.")
        self.said = text
        return not text


def waits_for(run: Run) -> str:
    """Return what a queued run waits for; empty where no worker is there to take it.

    A worker that is at an earlier run keeps its lease alive; one that is free answers.
    """
    wait = selectors.get_wait(run)
    if wait.is_attended:
        return wait.text
    return _WAITED_FOR if tasks.is_served("interactive") else ""


class Command(DomainCommand):
    help = "Queue what a spec asks for; a worker computes it."
    acts = True
    needs_broker = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("spec", type=Path, help="YAML or JSON file")
        parser.add_argument("--wait", action="store_true", help="watch the run to its end")
        parser.add_argument("--timeout", type=float, help="stop watching after this many seconds")
        parser.add_argument("--reason", default="")
        parser.add_argument(
            "--priority", choices=[p.value for p in Priority], default=Priority.NORMAL.value,
            help="share of the workers a study has beside others",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        run = services.queue_run(
            document=documents.read(options["spec"]),
            actor=self.actor(options),
            reason=self.reason(options),
            priority=Priority(options["priority"]),
            at=timezone.now(),
        )
        if not options["wait"]:
            self.answer({"id": run.public_id, "status": run.status})
            self.say(f"{run.public_id} is queued on {run.dataset}.")
            self.say_page(run)
            if settings.EMBEDDED_BROKER:
                self.say("A worker computes it: make serve, or add --wait to start one for it.")
            return
        self.say(f"{run.public_id} on {run.dataset}")
        self.say_page(run)
        run = self.watch(run, options["timeout"])
        self.conclude(run)

    def watch(self, run: Run, timeout: float | None) -> Run:
        """Follow a run to its end, lending it a worker if none takes it."""
        began, patience, is_lent = time.monotonic(), Patience(self.say), False
        with ExitStack() as stack:
            lent: Supervisor | None = None
            is_compiling = False
            while run.status not in RUNS.terminal:
                time.sleep(LOOK_EVERY)
                run = selectors.get_run(run.public_id)
                if run.phase == jobs.COMPILING and not is_compiling:
                    is_compiling = True
                    self.say(f"The engine is {jobs.COMPILING}.")
                self.draw(run)
                if not is_lent and patience.is_out(run):
                    is_lent, lent = True, self.lend(stack)
                if lent is not None and (lent.is_ending or not lent.pids()):
                    break
                if timeout is not None and time.monotonic() - began > timeout:
                    break
        self.draw(run, last=True)
        return run

    def lend(self, stack: ExitStack) -> Supervisor | None:
        """Start a worker that ends with `stack`; elsewhere workers are the operator's business."""
        if not settings.EMBEDDED_BROKER:
            self.say("No worker has taken it yet; still watching.")
            return None
        self.say("No worker took it: starting one for this run.")
        return stack.enter_context(Supervisor([worker()], log_dir(home())))

    def draw(self, run: Run, *, last: bool = False) -> None:
        """Redraw the progress bar on a terminal."""
        if self.as_json or not sys.stderr.isatty():
            return
        share = run.progress_done / run.progress_total if run.progress_total else float(last)
        pace = ""
        if selectors.is_study(run):
            progress = selectors.get_progress(run)
            share, pace = progress.percent / 100, f"{progress.trials_text} {progress.pace_text}"
        bar = "█" * round(30 * share)
        # the rest of an earlier, longer line is wiped
        sys.stderr.write(f"\r{bar:░<30} {share:4.0%} {run.phase or run.status:<12} {pace}\x1b[K")
        sys.stderr.write("\n" if last else "")
        sys.stderr.flush()

    def tell(self, study: selectors.Study) -> None:
        """Print what a study did out of sample, then its best with how many it is the best of."""
        if study.outside:
            self.say(f"Out of sample: {study.outside.how}.")
            for figure in study.outside.figures:
                self.say(f"  {figure['label']:<28} {figure['text']}")
            for verdict in study.outside.verdicts:
                self.say(f"  {verdict.text}")
        if study.headline:
            self.say(f"{study.headline}; {study.ledger}.")
        self.tell_best(study)
        over = study.over_benchmark.text if study.over_benchmark else ""
        walk = study.walk.summary if study.walk else ""
        rows = selectors.write_standings(study.comparison) if study.comparison else []
        for line in (study.verdict, study.doubt, over, walk, *rows, study.effort):
            if line:
                self.say(f"  {line}".rstrip())
        if study.sheet_title:
            self.say(f"{study.sheet_title} ({study.sheet_claim})")

    def tell_replay(self, replay: selectors.Replay) -> None:
        """Print what an experiment would have said, and what each policy would have earned."""
        again = replay.repeated["sentence"] if replay.repeated else ""
        again = again.removeprefix(replay.verdict).strip()  # which A/A begins with
        told = [replay.verdict, again, replay.reason, replay.best, f"{replay.period}.", ""]
        for line in dict.fromkeys(told):
            self.say(line)
        regimes = ["", *selectors.write_regimes(replay.regimes)] if replay.regimes else []
        for line in (*selectors.write_policies(replay), *regimes, "", *replay.asides):
            self.say(f"  {line}".rstrip())

    def tell_evidence(self, run: Run) -> None:
        """Say which registered version a run speaks for, and what it does not say of it."""
        if run.tested_version is None:
            return
        self.say(f"Evidence for {run.tested_name}: a worker hands it in; its page shows it.")
        if why := selectors.why_no_deflated_sharpe(run):
            self.say(f"  {why}")

    def tell_best(self, study: selectors.Study) -> None:
        """Print the best trial, its parameters, and what statistics leave of it."""
        if study.best:
            self.say(f"  {study.best['objective']:<20} {study.best['text']} ({study.shown_claim})")
            for line in study.best["lines"]:
                self.say(f"  {line}")
        for row in study.statistics:
            self.say(f"  {row['label']:<46} {row['text']}")

    def conclude(self, run: Run) -> None:
        """Print what came out; exit 1 unless it succeeded."""
        metrics = run.summary.get("metrics", {})
        study, replay = selectors.get_study(run), selectors.get_replay(run)
        self.answer(
            {
                "study": study and summary_of(study), "replay": replay and replay.values,
                "id": run.public_id, "status": run.status, "result_digest": run.result_digest,
                "metrics": {name: metric["value"] for name, metric in metrics.items()},
                "caveats": run.summary.get("caveats", []), "costs": run.summary.get("costs", {}),
                "ambiguity": run.summary.get("ambiguity"),
                "seconds": run.summary.get("seconds", {}), "problem": run.problem,
            }
        )  # fmt: skip
        if study:
            self.tell(study)
        if replay:
            self.tell_replay(replay)
        for name in FIGURES:
            if name in metrics:
                text = selectors.write_figure(name, metrics[name])
                self.say(f"  {selectors.label_of(name):<20} {text}")
        if bounds := run.summary.get("ambiguity"):
            low, high = bounds["pessimistic"], bounds["optimistic"]
            self.say(
                f"  Final equity between {low:,.0f} and {high:,.0f}, by what came first in a bar"
            )
        if opening := selectors.write_opening(run):
            self.say(f"  {opening}")
        for caveat in run.summary.get("caveats", []):
            self.say(f"  Caveat: {caveat['text']}")
        if run.status == RunStatus.SUCCEEDED:
            self.say(f"{run.status}, result sha256:{run.result_digest}")
            self.tell_evidence(run)
            self.say(f"Report: manage.py report {run.public_id} --out report.html")
            return
        if selectors.has_report(run):
            self.say(f"Report of what there is: manage.py report {run.public_id} --out report.html")
        detail = run.problem["detail"] if run.problem else "see manage.py doctor"
        self.say(f"{run.status}: {detail}")
        sys.exit(1)


def summary_of(study: selectors.Study) -> dict[str, Any]:
    """Return what a program wants to know: out of sample, the best, and of how many."""
    kept = study.run.summary.get("study", {})
    best = study.best
    return {
        "out_of_sample": study.outside and study.outside.values,
        "claim": study.shown_claim,
        "best": best and {name: best[name] for name in ("number", "value", "parameters")},
        "n_done": study.progress.n_done,
        "n_given_up": study.progress.chunks["quarantined"],
        **{name: kept.get(name) for name in KEPT},
    }


def worker() -> Child:
    """Return a worker for one run; its own beat rescues the run should a slice kill it."""
    name = f"lent-{timezone.now():%H%M%S}"
    argv = [
        *(sys.executable, "-m", "celery", "-A", "crowetrade_site", "worker"),
        *("--pool", "solo", "--queues", "interactive,batch,upkeep", "--hostname", f"{name}@%h"),
        *("--beat", "--schedule", str(home() / "celerybeat-lent")),
        *("--without-mingle", "--without-gossip", "--loglevel", "INFO"),
    ]
    return Child("lent-worker", argv, cwd=settings.BASE_DIR)
