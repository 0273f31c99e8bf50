"""The part of the report that shows single queries: what was asked, what was right, what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmsearch.evaluation.report.markup import Markup, element, join
from mmsearch.evaluation.report.thumbnails import short_name

if TYPE_CHECKING:
    from mmsearch.evaluation.report.thumbnails import Thumbnails
    from mmsearch.evaluation.result import Evaluation, QueryDetail, RankedItem

RELEVANT_SHOWN = 5
ALT_LENGTH = 120


def query_sections(
    evaluation: Evaluation, thumbnails: Thumbnails, shown: int, *, open_: bool
) -> Markup:
    """The worst and the best queries of an evaluation, `shown` of each; the best folded away."""
    parts = [
        _fold("Worst queries", evaluation.worst[:shown], thumbnails, open_=open_),
        _fold("Best queries", evaluation.best[:shown], thumbnails, open_=False),
    ]
    return join(*parts)


def _fold(
    title: str, details: Sequence[QueryDetail], thumbnails: Thumbnails, *, open_: bool
) -> Markup | None:
    if not details:
        return None
    measure = details[0].measure
    summary = element(
        "summary", element("h4", title), element("span", f"{len(details)} by {measure}")
    )
    cards = [_card(one, thumbnails) for one in details]
    return element("details", summary, *cards, class_="queries", open=open_)


def _card(detail: QueryDetail, thumbnails: Thumbnails) -> Markup:
    value = element("p", f"{detail.measure} ", element("b", f"{detail.value:.3f}"), class_="value")
    picture = None
    if detail.image is not None:
        alt = f"query picture {short_name(detail.image)}"
        picture = thumbnails.image(detail.image, alt)
    words = element("p", f"\u201c{detail.text}\u201d", class_="words") if detail.text else None
    name = element("p", detail.id, class_="id") if detail.id != detail.text else None
    asked = element("div", picture, element("div", words, name), class_="asked")
    return element(
        "article",
        element("header", asked, value),
        element(
            "div",
            _relevant(detail, thumbnails),
            _results(detail, thumbnails),
            class_="answers",
        ),
        class_="query",
    )


def _relevant(detail: QueryDetail, thumbnails: Thumbnails) -> Markup:
    shown = detail.relevant[:RELEVANT_SHOWN]
    graded = len({one.grade for one in detail.relevant}) > 1
    items = []
    for one in shown:
        place = f"rank {one.rank}" if one.rank else "not ranked"
        note = f"{place}, grade {one.grade}" if graded else place
        items.append(_item(one, thumbnails, note, ""))
    more = detail.relevant_total - len(shown)
    tail = f", {len(shown)} of {detail.relevant_total} shown" if more > 0 else ""
    if not items:
        return element("p", "Nothing was relevant to this query.", class_="none")
    heading = element("h5", f"Relevant{tail}")
    return element("section", heading, element("ol", *items, class_=_form(shown)))


def _results(detail: QueryDetail, thumbnails: Thumbnails) -> Markup:
    heading = element("h5", "First results")
    if not detail.results:
        nothing = element("p", "Nothing was returned.", class_="none")
        return element("section", heading, nothing)
    items = []
    for one in detail.results:
        right = one.grade >= 1
        mark = element(
            "span",
            "\u2713" if right else "\u2717",
            class_="mark",
            role="img",
            aria_label="right" if right else "wrong",
        )
        score = "" if one.score is None else f" \u00b7 {one.score:.3f}"
        note = join(mark, f" {one.rank}{score}")
        items.append(_item(one, thumbnails, note, "right" if right else "wrong"))
    return element("section", heading, element("ol", *items, class_=_form(detail.results)))


def _form(items: Sequence[RankedItem]) -> str:
    """Pictures stand side by side, texts one below the other."""
    return "strip" if any(one.image for one in items) else "lines"


def _item(item: RankedItem, thumbnails: Thumbnails, note: Markup | str, kind: str) -> Markup:
    said = element("span", note, class_="note")
    named = " ".join((item.text or item.id).split())
    if item.image is None:
        return element("li", said, element("span", named, class_="text"), class_=kind or None)
    alt = named if len(named) <= ALT_LENGTH else named[: ALT_LENGTH - 1] + "\u2026"
    picture = thumbnails.image(item.image, alt)
    return element("li", picture, said, class_=kind or None, title=alt)
