"""`manage.py list_experiments`: every experiment, the newest first."""

from argparse import ArgumentParser
from typing import Any

from crowetrade_site.core.commands import DomainCommand
from experiments import selectors
from experiments.lifecycle import ExperimentStatus


class Command(DomainCommand):
    help = "List experiments, the newest first: state, verdict, arms, and what the last look says."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--status", action="append", choices=[one.value for one in ExperimentStatus],
            help="only these; may be given again",
        )  # fmt: skip
        parser.add_argument("--limit", type=int, default=50, help="how many (default: 50)")

    def handle(self, *args: Any, **options: Any) -> None:
        found = selectors.list_experiments().order_by("-created_at", "-pk")
        if options["status"]:
            found = found.filter(status__in=options["status"])
        rows = list(found[: max(0, options["limit"])])
        said = selectors.last_reasons(rows)
        self.answer(
            {
                "experiments": [
                    {
                        "id": one.public_id,
                        "name": one.name,
                        "status": one.status,
                        "design": one.design,
                        "owner": one.owner.get_username(),
                        "arms": [arm.name for arm in sorted(one.arms.all(), key=_position)],
                        "started_at": one.started_at,
                        "concluded_at": one.concluded_at,
                        "verdict": one.verdict,
                        "winner": one.winner,
                        "says": said.get(one.pk, ""),
                    }
                    for one in rows
                ]
            }
        )
        if rows:
            self.say(f"{'NAME':<32} {'STATUS':<10} {'DESIGN':<9} {'OWNER':<20} ANSWER".rstrip())
        for one in rows:
            won = f"{one.verdict} {one.winner}".rstrip()
            owner = one.owner.get_username()
            self.say(f"{one.name:<32} {one.status:<10} {one.design:<9} {owner:<20} {won}".rstrip())
            if said.get(one.pk) and (one.analysis_problem or not one.verdict):
                self.say(f"  {said[one.pk]}")
        if not rows:
            self.say("No experiment; keep a plan by: manage.py create_experiment PLAN.yaml")


def _position(arm: Any) -> int:
    return int(arm.position)
