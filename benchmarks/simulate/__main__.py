"""Simulate every method, write the tables into docs/experiments.md, and check what must hold.

``python -m benchmarks.simulate [--quick] [--print]``; a row that must hold and does not is named,
and the exit code is 1.
"""

import argparse
import math
import sys
import time
from pathlib import Path

from benchmarks import simulate_bandits as bandits
from benchmarks.simulate.looking import BOUND
from benchmarks.simulate.tables import (
    SEED,
    Page,
    markdown,
    write_default,
    write_looking,
    write_others,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "experiments.md"
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"
Row = dict[str, str | float]
N_PATHS, N_QUICK = 10_000, 250


def main() -> None:
    """Run all simulations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few experiments; writes nothing")
    parser.add_argument("--print", action="store_true", help="print the tables; write nothing")
    options = parser.parse_args()
    begun = time.perf_counter()
    page = simulated(N_QUICK if options.quick else N_PATHS, is_quick=options.quick)
    took = time.perf_counter() - begun
    if options.quick or options.print:
        print("\n".join(page.lines))
    else:
        write(page)
        print(f"Wrote {DOCUMENT}.")
    print(f"{took:.0f} s, {page.n_paths:,} experiments of each kind, seed {SEED}.")
    for row in page.missed:
        print(f"MISSED {row}", file=sys.stderr)
    sys.exit(1 if page.missed else 0)


def simulated(n_paths: int, *, is_quick: bool = False) -> Page:
    """Return all tables."""
    page = Page(n_paths)
    error = math.sqrt(0.05 * 0.95 / n_paths)
    page.say(
        f"By `make simulate`, seed {SEED}: {n_paths:,} experiments a cell, so that 5 % have a",
        f"standard error of {error:.2%}. 2,000 periods, nominal 5 %, looking after every one",
        "unless said; methods without a start look from period 30. Mixtures are tuned for a",
        "quarter of the horizon. GARCH(1,1): omega 0.05, alpha 0.1, beta 0.85. The bounded",
        f"methods see values clipped at {BOUND:g} standard deviations. The effect that decides",
        "power is 2.80 long-run standard errors at period 2,000.",
        "",
    )
    write_looking(page)
    write_default(page)
    write_others(page)
    write_bandits(page, is_quick=is_quick)
    return page


def write_bandits(page: Page, *, is_quick: bool) -> None:
    """Add the tables of bandits."""
    few = {"repetitions": 10} if is_quick else {}
    regret, slopes = bandits.regret_rows(**few), bandits.slope_rows(**few)
    inference = bandits.inference_rows(**({"n_experiments": 100} if is_quick else {}))
    horizons = f"{bandits.HORIZON:,} to {bandits.LONG:,}"
    tables = (
        (f"Regret at T = {bandits.HORIZON:,}; in brackets the multiple of C ln T", regret),
        (f"Thompson: regret per unit of ln t from {horizons}, over C", slopes),
        ("Regret where the arms change places three times", bandits.drift_rows(**few)),
        (
            "Regret as a share of uniform play",
            bandits.shadow_rows(**({"n_worlds": 10} if is_quick else {})),
        ),
        ("A/A on data that Thompson sampling collected: false differences at 5 %", inference),
    )
    for title, rows in tables:
        page.say(f"### {title}", "")
        page.table(*markdown(rows))
    if not is_quick:
        _require_bandits(page, regret, slopes, inference)


def _require_bandits(
    page: Page, regret: list[Row], slopes: list[Row], inference: list[Row]
) -> None:
    """Note what is not as STATISTICS has it: multiples of C ln T, slopes, AIPW's level."""
    for row, goal in zip(regret, (0.41, 0.42, 0.50), strict=True):
        multiple = float(str(row["Thompson"]).rsplit("(", 1)[1].rstrip(")"))
        page.require(abs(multiple / goal - 1.0) < 0.2, f"regret, {row['arms']}: {row['Thompson']}")
    for row in slopes:
        slope = float(row["slope / C"])
        page.require(0.5 <= slope <= 1.3, f"slope, {row['arms']}: {slope}")
    for row in inference:
        if aipw := str(row["AIPW"]):
            page.require(float(aipw.split("%", 1)[0]) <= 6.0, f"AIPW, {row['collection']}: {aipw}")


def write(page: Page) -> None:
    """Put the tables between the markers of the document."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{DOCUMENT} lacks {BEGIN} or {END}.")
    body = "\n".join(page.lines).strip()
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}")


if __name__ == "__main__":
    main()
