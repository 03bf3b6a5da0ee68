#!/usr/bin/env python
"""Run CroweTrade's commands."""

import os
import sys


def main() -> None:
    """Hand the command line to Django; what stops the start is one line and exit code 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crowetrade_site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from crowetrade_site.embedded.errors import EmbeddedError

    try:
        execute_from_command_line(sys.argv)
    except (EmbeddedError, ImproperlyConfigured) as error:
        sys.stderr.write(f"CroweTrade cannot start: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
