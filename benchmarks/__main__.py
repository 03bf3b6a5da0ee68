"""Run the measurements named on the command line, or all of them."""

import sys
from importlib import import_module

<<<<<<< HEAD
NAMES = ("workloads", "parity", "million_bars", "audit", "studies")
=======
NAMES = ("workloads", "parity", "million_bars", "audit", "white_noise")
>>>>>>> validation


def main() -> None:
    """Run each measurement in turn; each prints a table of its own."""
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            sys.exit(f"There is no benchmark {name!r}; there are: {', '.join(NAMES)}.")
        print(f"== {name}")
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
