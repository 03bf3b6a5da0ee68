"""Drawings as inline SVG, which open on a page and in a report without a network or a script."""

from crowetrade_site.core.drawings.canvas import Drawing, nice_ticks, write_number
from crowetrade_site.core.drawings.curves import (
    Curve,
    draw_curves,
    draw_shares,
    write_day,
    write_time_of,
)
from crowetrade_site.core.drawings.intervals import draw_intervals

__all__ = [
    "Curve",
    "Drawing",
    "draw_curves",
    "draw_intervals",
    "draw_shares",
    "nice_ticks",
    "write_day",
    "write_number",
    "write_time_of",
]
