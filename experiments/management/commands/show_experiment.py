"""`manage.py show_experiment NAME`: where an experiment stands."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from crowetrade_site.core.commands import DomainCommand
from experiments import selectors
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from experiments.plans.sizing import size_of
from experiments.plans.verdicts import nothing_yet


class Command(DomainCommand):
    help = "Show an experiment: its state, its shares, what was counted, the last analysis."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name or id")

    def handle(self, *args: Any, **options: Any) -> None:
        experiment = selectors.find_experiment(options["experiment"])
        arms = [arm.name for arm in sorted(experiment.arms.all(), key=lambda arm: arm.position)]
        plan = selectors.plan_of(experiment)
        in_force = selectors.allocations_in_force(experiment, plan)
        last = selectors.list_analyses(experiment).first()
        shares = {
            context: dict(zip(arms, one.weights, strict=True)) for context, one in in_force.items()
        }
        counted = selectors.tallies(experiment)
        sizing, shown = size_of(plan), selectors.detectability(plan)
        notes = selectors.plan_notes(experiment, plan)
        notes += last.findings.get("notes", []) if last else []
        differences = selectors.write_differences(experiment, last)
        self.answer(
            {
                "id": experiment.public_id,
                "name": experiment.name,
                "status": experiment.status,
                "design": experiment.design,
                "owner": experiment.owner.get_username(),
                "metric": plan.primary.name,
                "primary_metrics": [metric.name for metric in plan.primaries],
                "arms": arms,
                "weights": shares.get("", {}),
                "weights_by_context": {name: one for name, one in shares.items() if name},
                "started_at": experiment.started_at,
                "concluded_at": experiment.concluded_at,
                "verdict": experiment.verdict,
                "winner": experiment.winner,
                "sizing": sizing and asdict(sizing),
                "detectability": shown and asdict(shown),
                "tallies": counted,
                "analysis": last and {"number": last.number, "decision": last.decision},
                "analysis_problem": experiment.analysis_problem,
                "differences": list(differences),
                "assumed": last.findings.get("assumed") if last else None,
                "notes": notes,
            }
        )
        self.say(f"{experiment}: {experiment.status}, {experiment.design}, {', '.join(arms)}")
        self.tell_question(experiment)
        self.tell_shares(experiment, shares)
        if said := selectors.what_it_shows(plan):
            self.say(f"  {said}")
        for reason, n in counted.items():
            self.say(f"  {reason:<20} {n:>12,}")
        for line in differences:
            self.say(f"  {line}")
        for note in notes:
            self.say(f"  note: {note}")
        comes = selectors.when_first_interval(
            experiment, plan, last.findings if last else {}, now=timezone.now()
        )
        failure = selectors.failure_of(experiment)
        if failure:
            self.say(f"  {failure}")
        elif experiment.status == ExperimentStatus.RUNNING and not last:
            self.say(f"  {nothing_yet(0, plan.analysis.first_look)} {comes}")
        if last:
            said = f"{last.verdict}. {last.decision['reason']} {comes}"
            self.say(f"  analysis {last.number}: {said.strip()}")

    def tell_question(self, experiment: Experiment) -> None:
        """Print since when it runs, and what answers it."""
        begun = experiment.started_at
        since = f"started {begun:%Y-%m-%d %H:%M} UTC" if begun else "not started"
        plan = selectors.plan_of(experiment)
        told = ", ".join(f"{one.name} ({one.kind}, {one.direction})" for one in plan.primaries)
        if len(plan.primaries) == 1:
            self.say(f"  {since}; {told} answers")
        else:
            self.say(f"  {since}; {told} answer; a winner needs {plan.analysis.winner_needs}")

    def tell_shares(self, experiment: Experiment, shares: dict[str, dict[str, float]]) -> None:
        """Print the shares in force, by context; a shadow experiment's arms have none."""
        for context, weights in shares.items() if experiment.design == "assigned" else ():
            told = ", ".join(f"{name} {share:.0%}" for name, share in weights.items())
            self.say(f"  shares{f' of {context}' if context else ''}: {told}")
        if experiment.verdict:
            self.say(f"  {experiment.verdict} {experiment.winner}".rstrip())
