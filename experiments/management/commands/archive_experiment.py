"""`manage.py archive_experiment NAME`: put an experiment out of sight."""

from experiments import services
from experiments.management.moving import MoveCommand


class Command(MoveCommand):
    help = "Put a concluded experiment, or a draft, out of sight; nothing is deleted."
    move = staticmethod(services.archive_experiment)
