"""`manage.py resume_experiment NAME`: go on after a pause."""

from experiments import services
from experiments.management.moving import MoveCommand


class Command(MoveCommand):
    help = "Go on after a pause, with the same plan."
    needs_reason = True
    move = staticmethod(services.resume_experiment)
