"""`manage.py pause_experiment NAME`: stop assigning."""

from experiments import services
from experiments.management.moving import MoveCommand


class Command(MoveCommand):
    help = "Stop assigning units; outcomes of what was assigned still come in."
    needs_reason = True
    move = staticmethod(services.pause_experiment)
