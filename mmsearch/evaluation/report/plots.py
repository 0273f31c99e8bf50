"""Small plots as inline SVG: axes, ticks, lines with bands, steps. No library, no script.

Colours come from the page's style sheet (classes `series-1` to `series-6`, `grid`, `axis`), so
that a plot follows the page into the dark and onto paper. Lines also differ by dash and by marker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmsearch.evaluation.report.markup import Markup, element, join

WIDTH, HEIGHT = 440.0, 286.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 14.0, 12.0, 44.0
COLOURS = 6  # series-1 to series-6 in the style sheet; after them the colours come again


@dataclass(frozen=True)
class Heading:
    """What a screen reader says of a plot: its name, then what it shows. `key` is its id."""

    key: str
    name: str
    description: str


@dataclass(frozen=True)
class Axis:
    """A labelled range. `ticks` are values and what to write at them."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        if self.log:
            span = math.log(self.high / self.low)
            return math.log(max(value, self.low) / self.low) / span
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Series:
    """One line. `band` (low and high at each x) is shaded, `notes` pop up at the points."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    band: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()
    markers: bool = False


def linear_axis(label: str, low: float, high: float, *, steps: int = 5) -> Axis:
    """Ticks at multiples of 1, 2 or 5 times a power of ten, about `steps` of them."""
    if high <= low:
        high = low + 1.0
    rough = (high - low) / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    ticks = tuple((n * step, f"{n * step:.{digits}f}") for n in range(first, last + 1))
    return Axis(label, low, high, ticks)


def log_axis(label: str, low: float, high: float) -> Axis:
    """Ticks at 1, 2 and 5 times the powers of ten within; a range of two decades or more: 1 only.

    Raises ValueError for a range that holds values that are not positive.
    """
    if low <= 0:
        raise ValueError(f"a logarithmic axis cannot begin at {low}")
    if high <= low:
        low, high = low / 2, high * 2
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 200 else (1,)
    values = [factor * 10.0**exponent for exponent in exponents for factor in factors]
    inside = [v for v in values if low * 0.999 <= v <= high * 1.001]
    return Axis(label, low, high, tuple((v, f"{v:g}") for v in inside), log=True)


def line_plot(heading: Heading, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Lines through the points of each series."""
    drawn = []
    for number, one in enumerate(series):
        points = [(_across(x, a), _up(y, b)) for a, b in zip(one.x, one.y, strict=True)]
        colour = _colour(number)
        if one.band:
            lower = [(p[0], _up(y, low)) for p, (low, _) in zip(points, one.band, strict=True)]
            upper = [(p[0], _up(y, high)) for p, (_, high) in zip(points, one.band, strict=True)]
            drawn.append(_path([*upper, *reversed(lower)], f"band {colour}", close=True))
        drawn.append(_path(points, f"line {colour}"))
        if one.markers:
            notes = one.notes or ("",) * len(points)
            drawn += [
                _marker(number, *point, note) for point, note in zip(points, notes, strict=True)
            ]
    return _figure(heading, x, y, drawn)


def step_plot(heading: Heading, edges: Axis, heights: Axis, series: Sequence[Series]) -> Markup:
    """Histograms as outlines: each series has one more x (the edges of its bins) than y."""
    drawn = []
    for number, one in enumerate(series):
        ground = _up(heights, heights.low)
        points = [(_across(edges, one.x[0]), ground)]
        for left, right, height in zip(one.x, one.x[1:], one.y, strict=False):
            level = _up(heights, height)
            points += [(_across(edges, left), level), (_across(edges, right), level)]
        points.append((_across(edges, one.x[-1]), ground))
        colour = _colour(number)
        if len(series) == 1:  # areas over each other would only darken
            drawn.append(_path(points, f"band {colour}", close=True))
        drawn.append(_path(points, f"line {colour}"))
    return _figure(heading, edges, heights, drawn)


def legend(labels: Sequence[str], *, markers: bool = False) -> Markup:
    """What each line is, as an HTML list that wraps; nothing for a single unmarked line."""
    if len(labels) < 2 and not markers:
        return Markup("")
    entries = []
    for number, label in enumerate(labels):
        colour = _colour(number)
        swatch = [_path([(1.0, 6.0), (27.0, 6.0)], f"line {colour}")]
        if markers:
            swatch.append(_marker(number, 14.0, 6.0, ""))
        key = element("svg", *swatch, viewbox="0 0 28 12", class_="swatch", aria_hidden="true")
        entries.append(element("li", key, label))
    return element("ul", *entries, class_="legend")


def interval_bar(low: float, estimate: float, high: float, *, series: int = 0) -> Markup:
    """An interval within [0, 1] on a thin track, for a table's cell; the cell says the numbers."""
    width, middle = 120.0, 7.0
    across = [3 + (width - 6) * min(max(value, 0.0), 1.0) for value in (low, estimate, high)]
    track = element("line", x1=3.0, x2=width - 3, y1=middle, y2=middle, class_="track")
    quarters = [
        element("line", x1=x, x2=x, y1=middle - 2, y2=middle + 2, class_="track")
        for x in (3 + (width - 6) * part / 4 for part in range(5))
    ]
    colour = _colour(series)
    bar = element(
        "line", x1=across[0], x2=across[2], y1=middle, y2=middle, class_=f"interval {colour}"
    )
    dot = element("circle", cx=across[1], cy=middle, r=2.3, class_=f"dot {colour}")
    box = f"0 0 {width:.0f} 14"
    return element(
        "svg", track, *quarters, bar, dot, viewbox=box, class_="forest", aria_hidden="true"
    )


def _figure(heading: Heading, x: Axis, y: Axis, drawn: Sequence[Markup]) -> Markup:
    title, long = f"{heading.key}-title", f"{heading.key}-description"
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts: list[Markup] = [
        element("title", heading.name, id=title),
        element("desc", heading.description, id=long),
    ]
    for value, shown in y.ticks:
        at = _up(y, value)
        parts.append(element("line", x1=LEFT, x2=right, y1=at, y2=at, class_="grid"))
        parts.append(element("text", shown, x=LEFT - 8, y=at + 4, class_="tick y"))
    for value, shown in x.ticks:
        at = _across(x, value)
        parts.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 5, class_="axis"))
        parts.append(element("text", shown, x=at, y=bottom + 19, class_="tick x"))
    parts.append(element("line", x1=LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
    parts += drawn
    middle = (TOP + bottom) / 2
    parts.append(element("text", x.label, x=(LEFT + right) / 2, y=HEIGHT - 6, class_="label"))
    turned = f"translate(13 {middle:.1f}) rotate(-90)"
    parts.append(element("text", y.label, transform=turned, class_="label"))
    return element(
        "svg",
        *parts,
        viewbox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        class_="plot",
        role="img",
        aria_labelledby=f"{title} {long}",
    )


def _across(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _up(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _colour(series: int) -> str:
    return f"series-{series % COLOURS + 1}"


def _path(points: Sequence[tuple[float, float]], kind: str, *, close: bool = False) -> Markup:
    steps = " L".join(f"{across:.2f} {up:.2f}" for across, up in points)
    return element("path", d=f"M{steps}{'Z' if close else ''}", class_=kind)


def _marker(series: int, across: float, up: float, note: str) -> Markup:
    """A disc, square, diamond or triangle, by the series' number; `note` pops up."""
    shape = series % 4
    kind = f"marker {_colour(series)}"
    said = element("title", note) if note else None
    if shape == 0:
        return element("circle", said, cx=across, cy=up, r=3.6, class_=kind)
    outline = join(*_corners(shape, across, up))
    return element("polygon", said, points=outline.strip(), class_=kind)


def _corners(shape: int, across: float, up: float) -> Iterator[str]:
    offsets = {
        1: ((-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)),
        2: ((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
        3: ((0, -4.4), (4.2, 3.4), (-4.2, 3.4)),
    }[shape]
    for right, down in offsets:
        yield f"{across + right:.2f},{up + down:.2f} "
