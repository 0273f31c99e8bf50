"""Recall against time, drawn for index_choice.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from index_choice import Result


def picture(results: list[Result], about: dict[str, Any]) -> str:
    """Recall against p50 on a logarithmic axis, a colour a contender, as SVG."""
    width, height, left, top = 720, 420, 60, 40
    low = min(result.p50_ms for result in results) / 1.5
    high = max(result.p50_ms for result in results) * 1.5
    floor = min(0.9, min(result.recall for result in results) - 0.01)
    names = list(dict.fromkeys(result.name for result in results))
    colours = ["#444", "#1b6", "#06c", "#c30", "#b80", "#80c", "#088"]

    def x(value: float) -> float:
        return left + (width - left - 190) * float(np.log(value / low) / np.log(high / low))

    def y(value: float) -> float:
        return top + (height - top - 50) * (1 - (value - floor) / (1 - floor))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="20">{about["size"]:,} x {about["dim"]}, {about["source"]}, '
        f"{about['threads']} thread(s)</text>",
    ]
    parts += [
        f'<path d="M{left} {y(tick):.1f}H{width - 190}" stroke="#ddd"/>'
        f'<text x="8" y="{y(tick) + 4:.1f}">{tick:.3f}</text>'
        for tick in np.linspace(floor, 1, 6)
    ]
    parts += [
        f'<path d="M{x(tick):.1f} {top}V{height - 50}" stroke="#ddd"/>'
        f'<text x="{x(tick) - 8:.1f}" y="{height - 34}">{tick:g} ms</text>'
        for tick in (10.0**power for power in range(-2, 4))
        if low < tick < high
    ]
    for number, name in enumerate(names):
        colour = colours[number % len(colours)]
        own = sorted((r for r in results if r.name == name), key=lambda r: r.p50_ms)
        line = " ".join(f"{x(r.p50_ms):.1f},{y(r.recall):.1f}" for r in own)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts += [
            f'<circle cx="{x(r.p50_ms):.1f}" cy="{y(r.recall):.1f}" r="4" fill="{colour}"/>'
            for r in own
        ]
        row = top + 18 * number
        parts.append(
            f'<circle cx="{width - 175}" cy="{row}" r="4" fill="{colour}"/>'
            f'<text x="{width - 165}" y="{row + 4}">{name}</text>'
        )
    parts.append(
        f'<text x="{left}" y="{height - 10}">p50 of one query; up and left is better</text>'
    )
    return "\n".join([*parts, "</svg>\n"])
