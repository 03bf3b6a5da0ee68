"""Run the measurements named on the command line, or all of them.

One that is named alone may take options of its own: ``python -m benchmarks studies --trials 1000``.
"""

import sys
from importlib import import_module

NAMES = (
    "workloads",
    "parity",
    "million_bars",
    "audit",
    "registry",
    "studies",
    "scaling",
    "white_noise",
    "bandits",
    "experiments",
)


def main() -> None:
    """Run each measurement in turn; each prints a table of its own."""
    given = sys.argv[1:]
    options = next((at for at, word in enumerate(given) if word.startswith("-")), len(given))
    for name in given[:options] or NAMES:
        if name not in NAMES:
            sys.exit(f"There is no benchmark {name!r}; there are: {', '.join(NAMES)}.")
        print(f"== {name}")
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
