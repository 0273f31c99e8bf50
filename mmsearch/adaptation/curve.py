"""The training curve as a PNG, drawn with Pillow: one small plot is no reason for matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmsearch.training.optimise import Step

if TYPE_CHECKING:
    from PIL import ImageDraw

    Points = Sequence[tuple[int, float]]

SIZE = (720, 400)
LEFT, RIGHT, TOP, BOTTOM = 60, 60, 34, 44  # margins in pixels
LOSS, SCORE, GRID, INK = "#c44e52", "#4c72b0", "#dddddd", "#333333"
TICKS = 5


def draw_curve(history: Sequence[Step], start_score: float | None) -> bytes:
    """Loss by step (left axis) and held-out MRR by step (right axis), as PNG bytes.

    `start_score` is that of the base, at step 0. It is `Measures.score`, a mean MRR.
    """
    from PIL import Image, ImageDraw

    losses = [(step.step, step.loss) for step in history]
    scores = [(step.step, step.score) for step in history if step.score is not None]
    if start_score is not None:
        scores.insert(0, (0, start_score))
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    last = max([step for step, _ in [*losses, *scores]], default=1)
    _axes(draw, last)
    _line(draw, _averaged(losses), last, LOSS, left=True)
    _line(draw, scores, last, SCORE, left=False)
    draw.text((LEFT, 10), "loss", fill=LOSS, font_size=14)
    draw.text((SIZE[0] - RIGHT, 10), "held-out MRR", fill=SCORE, font_size=14, anchor="ra")
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def _averaged(points: Points) -> Points:
    """At most about 200 points, each the mean of its neighbours: single batches are noise."""
    width = max(1, len(points) // 200)
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _axes(draw: ImageDraw.ImageDraw, last: int) -> None:
    for tick in range(TICKS + 1):
        x = LEFT + (SIZE[0] - LEFT - RIGHT) * tick / TICKS
        draw.line([(x, TOP), (x, SIZE[1] - BOTTOM)], fill=GRID)
        label = str(round(last * tick / TICKS))
        draw.text((x, SIZE[1] - BOTTOM + 6), label, fill=INK, font_size=12, anchor="ma")
    draw.text((SIZE[0] / 2, SIZE[1] - 18), "step", fill=INK, font_size=12, anchor="ma")


def _line(draw: ImageDraw.ImageDraw, points: Points, last: int, colour: str, *, left: bool) -> None:
    if not points:
        return
    values = [value for _, value in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    bottom, height = SIZE[1] - BOTTOM, SIZE[1] - TOP - BOTTOM
    width = SIZE[0] - LEFT - RIGHT
    place = [
        (LEFT + width * step / max(1, last), bottom - height * (value - low) / span)
        for step, value in points
    ]
    draw.line(place, fill=colour, width=2)
    if len(place) == 1:
        draw.circle(place[0], 3, fill=colour)
    x, anchor = (LEFT - 6, "rm") if left else (SIZE[0] - RIGHT + 6, "lm")
    for tick in range(TICKS + 1):
        value, y = low + span * tick / TICKS, bottom - height * tick / TICKS
        draw.text((x, y), f"{value:.2f}", fill=colour, font_size=12, anchor=anchor)
