"""HTML and SVG as strings that are escaped unless they were made here."""

from __future__ import annotations

import html
import re

# What neither HTML nor UTF-8 can carry: control characters and the lone surrogates that stand for
# odd bytes in a file's name.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"br", "img", "meta"})


class Markup(str):
    """Text that is markup already; a plain str is escaped wherever it is put in."""

    __slots__ = ()


Node = Markup | str | None


def text(value: str) -> Markup:
    """`value` as it reads, every character that markup could obey escaped."""
    return Markup(html.escape(_UNPRINTABLE.sub("\ufffd", value), quote=True))


def element(tag: str, /, *children: Node, **attributes: str | float | bool | None) -> Markup:
    """An element. `class_` and `for_` lose their underscore, others become hyphens.

    None and False leave an attribute out, True gives it without a value; a number is written short.
    """
    parts = [tag]
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if attribute == "viewbox":
            attribute = "viewBox"  # the one mixed case of SVG that is needed here
        if value is True:
            parts.append(attribute)
        elif value is not None and value is not False:
            shown = value if isinstance(value, str) else number(value)
            parts.append(f'{attribute}="{text(shown)}"')
    opened = f"<{' '.join(parts)}>"
    return Markup(opened if tag in _VOID else f"{opened}{join(*children)}</{tag}>")


def join(*children: Node) -> Markup:
    """The children one after the other; None is nothing."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else text(child)
            for child in children
            if child is not None
        )
    )


def number(value: float) -> str:
    """A coordinate with two digits at most behind the point, and no more than it needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
