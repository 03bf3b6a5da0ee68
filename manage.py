#!/usr/bin/env python
"""Run CroweTrade's commands."""

import os
import sys


def main() -> None:
    """Hand the command line to Django; a known refusal is one line and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crowetrade_site.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
