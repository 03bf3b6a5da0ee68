"""`manage.py start_experiment NAME`: pin what its arms are and begin."""

from experiments import services
from experiments.management.moving import MoveCommand


class Command(MoveCommand):
    help = "Freeze an experiment's plan, pin the versions of its models, and begin."
    move = staticmethod(services.start_experiment)
