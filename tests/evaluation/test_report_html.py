"""The report needs nothing beside itself, says all that pins its figures, and can be read."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import itertools
import math
import re
import shutil
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsearch.errors import UsageError
from mmsearch.evaluation.evaluate import evaluate_embeddings
from mmsearch.evaluation.ground_truth import IndexCurve, IndexPoint
from mmsearch.evaluation.report.groups import labels_of
from mmsearch.evaluation.report.markup import element, join, text
from mmsearch.evaluation.report.plots import (
    Axis,
    Heading,
    Series,
    line_plot,
    linear_axis,
    log_axis,
    step_plot,
)
from mmsearch.evaluation.report_html import render_report
from mmsearch.evaluation.result import Anchor, ClassFigures, Evaluation
from mmsearch.evaluation.statistics import evaluation_intervals
from mmsearch.evaluation.task import Shown, Subject, Task
from mmsearch.types import Progress
from tests.support import COLOURS, ColourEncoder, paint

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
HOSTILE = "</p><script>alert('x')</script><img src=http://example.org/a.png>\x00\udcff & \"more\""


class Page(HTMLParser):
    """What a test asks of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [found for _, one in self.elements if (found := one.get(attribute)) is not None]


def task(folder: Path, direction: str = "text to image") -> Task:
    """Six colours, two captions each."""
    pictures = {f"{colour}.png": paint(folder / f"{colour}.png", colour) for colour in COLOURS}
    captions = {f"{c}#{n}": f"{word} {c} square" for c in COLOURS for n, word in enumerate("ab")}
    shown_pictures = {key: Shown(image=str(path)) for key, path in pictures.items()}
    shown_texts = {key: Shown(text=words) for key, words in captions.items()}
    owner = {key: key.partition("#")[0] + ".png" for key in captions}
    if direction == "text to image":
        return Task(
            dataset="colours",
            split="test",
            direction=direction,
            queries=tuple(captions),
            items=tuple(pictures),
            qrels={key: {picture: 1} for key, picture in owner.items()},
            clusters=tuple(owner.values()),
            shown_queries=shown_texts,
            shown_items=shown_pictures,
        )
    return Task(
        dataset="colours",
        split="test",
        direction=direction,
        queries=tuple(pictures),
        items=tuple(captions),
        qrels={p: {key: 1 for key, own in owner.items() if own == p} for p in pictures},
        shown_queries=shown_pictures,
        shown_items=shown_texts,
    )


def measured(one: Task, model: str = "colours", *, noise: float = 0.0, seed: int = 0) -> Evaluation:
    encoder = ColourEncoder()
    side = {}
    for name in (*one.queries, *one.items):
        colour = re.split(r"[#.]", name)[0]
        side[name] = encoder.encode_texts([colour])[0]
    random = np.random.default_rng(seed)
    asked = np.array([side[name] for name in one.queries])
    asked += noise * random.normal(size=asked.shape).astype(np.float32)
    gallery = np.array([side[name] for name in one.items])
    gallery += noise / 4 * random.normal(size=gallery.shape).astype(np.float32)
    subject = Subject(model, f"print-{model}", "32 px, squeezed")
    return evaluate_embeddings(one, asked, gallery, subject)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("colours")


@pytest.fixture(scope="module")
def good(folder: Path) -> Evaluation:
    return measured(task(folder))


@pytest.fixture(scope="module")
def poor(folder: Path) -> Evaluation:
    return measured(task(folder), "poor", noise=2.0)


@pytest.fixture(scope="module")
def curve() -> IndexCurve:
    def point(family: str, value: int | None, recall: float, ms: float) -> IndexPoint:
        parameter = None if value is None else "efSearch"
        ends = (recall, recall - 0.01, min(1.0, recall + 0.01))
        return IndexPoint(family, parameter, value, *ends, ms, 2 * ms, 96, 1)

    points = (
        point("exact", None, 1.0, 5.0),
        *(point("HNSW", ef, 1 - 1 / ef, ef / 100) for ef in (16, 32, 64)),
    )
    return IndexCurve(10, 5000, 48, 200, 200, 1, points, ("a note on IVF",))


@pytest.fixture(scope="module")
def whole(good: Evaluation, poor: Evaluation, folder: Path, curve: IndexCurve) -> str:
    back = measured(task(folder, "image to text"))
    return render_report([good, poor, back], curve)


def test_page_refers_to_nothing_outside_itself(whole: str) -> None:
    page = Page(whole)
    assert {tag for tag, _ in page.elements}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio", "use"}
    )
    assert {source.partition(",")[0] for source in page.values("src")} == {"data:image/jpeg;base64"}
    assert all(target.startswith("#") for target in page.values("href"))
    assert page.values("srcset") == page.values("style") == []
    assert not re.search(r"url\(|@import|http", whole.partition("<style>")[2].split("</style>")[0])


def test_policy_forbids_all_requests_and_allows_this_one_style_sheet(whole: str) -> None:
    metas = Page(whole).all("meta")
    at = next(n for n, meta in enumerate(metas) if meta.get("http-equiv"))
    assert at == 1  # right after the charset: before anything that could load
    rules = dict(rule.strip().split(" ", 1) for rule in (metas[at]["content"] or "").split(";"))
    style = whole.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_links_lead_to_parts_and_ids_are_unique(whole: str) -> None:
    ids = Page(whole).values("id")
    assert len(set(ids)) == len(ids)
    assert {target[1:] for target in Page(whole).values("href")} <= set(ids)


def test_elements_are_closed_where_they_should_be(whole: str) -> None:
    """As XML parsers see it: every element but the void ones is closed, in order."""
    body = whole.partition("<body>")[2].partition("</body>")[0]
    body = re.sub(r"<(img|meta)\b([^>]*)>", r"<\1\2/>", body)
    body = re.sub(r"<details([^>]*) open>", r'<details\1 open="">', body)
    tree = ET.fromstring(f"<body>{body}</body>")
    assert len(tree.findall(".//section")) > 5


def test_texts_of_a_dataset_cannot_become_markup(folder: Path) -> None:
    one = task(folder)
    shown = {key: Shown(text=HOSTILE) for key in one.queries}
    evaluation = measured(dataclasses.replace(one, shown_queries=shown, dataset=HOSTILE), HOSTILE)
    warned = dataclasses.replace(evaluation, warnings=(HOSTILE,))
    page = render_report([warned], title=HOSTILE)
    page.encode()  # no lone surrogate is left
    assert "<script" not in page
    assert "<img src=http" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "\x00" not in page
    assert "\ufffd\ufffd &amp; &quot;more&quot;" in page


def test_report_says_all_that_pins_the_figures(whole: str, good: Evaluation) -> None:
    said = Page(whole).text
    for fact in (
        "colours, test · 12 queries in a gallery of 6",
        "print-colours",
        "32 px, squeezed",
        good.tie_rule,
        "exact",
        "Clusters of queries 6",
        "12 queries",
        "hit@k is what papers on CLIP call R@k",
        "6 clusters of 12 queries",
        "5,000 vectors of 48 numbers, 200 queries, k = 10, 1 thread",
        "a note on IVF",
    ):
        assert fact in said, fact


def test_every_measure_is_shown_with_its_interval_and_defined(folder: Path) -> None:
    fair = measured(task(folder), "fair", noise=0.3)
    said = Page(render_report([fair])).text
    intervals = evaluation_intervals(fair)
    for name, shown in (("AP", "mAP"), ("hit@1", "hit@1"), ("nDCG@10", "nDCG@10"), ("RR", "MRR")):
        one = intervals[name]
        assert one.low < one.estimate < one.high
        assert f"{shown} {one.estimate:.3f} {one.low:.3f} – {one.high:.3f}" in said
    assert "mAP, the mean of AP" in said
    assert "Source: map and map_cut_k of trec_eval" in said
    assert "median rank" in said


def test_infinite_ranks_and_values_without_spread_are_named(good: Evaluation) -> None:
    measures = {"hit@1": np.ones(12), "median rank": np.full(12, math.inf)}
    one = dataclasses.replace(good, measures=measures, first_relevant=np.full(12, math.inf))
    said = Page(render_report([one])).text
    assert "hit@1 1.000 no spread" in said
    assert "median rank ∞ ∞ throughout" in said


def test_a_run_that_is_significantly_better_carries_the_letter_of_the_other(
    good: Evaluation, poor: Evaluation
) -> None:
    page = Page(render_report([good, poor]))
    titles = [one.get("title") for one in page.all("sup")]
    assert "significantly better than b" in titles
    assert "significantly better than a" not in titles
    assert "Holm" in page.text
    assert "Paired tests" in page.text
    alone = Page(render_report([good]))
    assert not alone.all("sup")
    assert "Paired tests" not in alone.text


def test_runs_on_the_same_queries_share_a_part_and_others_do_not(
    good: Evaluation, poor: Evaluation, folder: Path
) -> None:
    def parts(*runs: Evaluation) -> list[str]:
        return [i for i in Page(render_report(runs)).values("id") if re.fullmatch(r"part-\d", i)]

    back = measured(task(folder, "image to text"))
    assert parts(good, poor) == ["part-1"]
    assert parts(good, back, poor) == ["part-1", "part-2"]


def test_runs_of_one_model_get_names_of_their_own(good: Evaluation) -> None:
    other = dataclasses.replace(good, index_kind="HNSW")
    assert labels_of([good, other]) == ("colours, exact", "colours, HNSW")
    changed = dataclasses.replace(good, fingerprint="0123456789abcdef")
    assert labels_of([good, changed]) == ("colours, print-co", "colours, 01234567")
    assert labels_of([good, good, good]) == ("colours", "colours #2", "colours #3")


def test_warnings_stand_once_and_name_their_run(good: Evaluation, poor: Evaluation) -> None:
    warned = dataclasses.replace(good, warnings=("small gallery",))
    both = dataclasses.replace(poor, warnings=("small gallery", "two queries were not answered"))
    said = Page(render_report([warned, both])).text
    assert said.count("small gallery") == 1
    assert "poor: two queries were not answered" in said
    assert "Warning" not in Page(render_report([good])).text


def test_queries_show_thumbnails_with_marks_and_alternative_texts(good: Evaluation) -> None:
    page = Page(render_report([good]))
    pictures = page.all("img")
    details = [*good.worst[:6], *good.best[:6]]
    assert len(pictures) == sum(len(one.results) + len(one.relevant) for one in details)
    assert all(picture["alt"] for picture in pictures)
    marks = [one["aria-label"] for one in page.all("span") if one.get("class") == "mark"]
    grades = [item.grade for one in details for item in one.results]
    assert marks == ["right" if grade else "wrong" for grade in grades]
    assert {"right", "wrong"} == set(marks)
    source = pictures[0]["src"] or ""
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as thumbnail:
        assert max(thumbnail.size) <= 160


def test_picture_queries_show_texts_and_what_was_right(folder: Path) -> None:
    back = measured(task(folder, "image to text"))
    page = Page(render_report([back]))
    assert len(page.all("img")) == len(back.worst[:6]) + len(back.best[:6])
    assert "a red square" in page.text
    assert "✓" in page.text


def test_pictures_that_are_gone_are_named_and_stop_nothing(folder: Path, tmp_path: Path) -> None:
    one = task(tmp_path / "moved")
    evaluation = measured(one)
    shutil.rmtree(tmp_path / "moved")
    page = Page(render_report([evaluation]))
    assert not page.all("img")
    assert "Pictures that could not be shown: 6" in page.text
    assert "red.png" in page.text
    assert "could not be shown" not in Page(render_report([measured(task(folder))])).text


def test_classes_macro_figures_and_anchors_are_tables(good: Evaluation) -> None:
    classes = (ClassFigures("red", 4, 5, 0.6, 0.75, 0.667), ClassFigures("blue", 2, 1, 1, 0.5, 0.6))
    anchor = Anchor("ViT-B/32", {"hit@1": 0.588}, "Radford et al.", 2021)
    one = dataclasses.replace(good, classes=classes, anchors=(anchor,))
    said = Page(render_report([one])).text
    assert "red 4 5 0.600 0.750 0.667" in said
    assert "macro precision 0.800" in said
    assert "ViT-B/32 0.588 Radford et al., 2021" in said


def test_index_curve_stands_alone_when_there_is_no_evaluation(curve: IndexCurve) -> None:
    page = Page(render_report([], curve))
    assert "Definitions" not in page.text
    assert "HNSW, efSearch=64 0.9844" in page.text
    assert "HNSW, efSearch=16: recall@10 0.9375, 0.160 ms" in page.text
    with pytest.raises(UsageError, match="nothing to report"):
        render_report([])


def test_progress_counts_the_evaluations(good: Evaluation, poor: Evaluation) -> None:
    seen: list[Progress] = []
    render_report([good, poor], on_progress=seen.append)
    assert [(one.done, one.total) for one in seen] == [(1, 2), (2, 2)]


def test_plots_are_pictures_with_a_name_and_a_description(whole: str) -> None:
    plots = [one for one in Page(whole).all("svg") if one.get("role") == "img"]
    assert len(plots) == 5  # hit@k and the spread of AP of two parts, and the index
    ids = set(Page(whole).values("id"))
    for plot in plots:
        assert set((plot["aria-labelledby"] or "").split()) <= ids
    others = [one for one in Page(whole).all("svg") if one.get("role") != "img"]
    assert all(one.get("aria-hidden") == "true" for one in others)


def test_one_relevant_item_a_query_makes_no_flat_precision_plot(
    good: Evaluation, folder: Path
) -> None:
    back = measured(task(folder, "image to text"), noise=2.0)
    assert "Precision and recall" not in Page(render_report([good])).text
    assert "Precision and recall" in Page(render_report([back])).text


def test_numbers_of_tables_have_headers(whole: str) -> None:
    headers = Page(whole).all("th")
    assert headers
    assert all(one.get("scope") in ("row", "col") for one in headers)
    regions = [one for one in Page(whole).all("div") if one.get("role") == "region"]
    assert regions
    assert all(one.get("aria-label") and one.get("tabindex") == "0" for one in regions)


def path_points(svg: str, kind: str) -> list[tuple[float, float]]:
    (drawn,) = re.findall(rf'<path d="M([^"]*)" class="{kind} ', svg)
    steps = [step.split() for step in drawn.removesuffix("Z").split(" L")]
    return [(float(across), float(down)) for across, down in steps]


def test_lines_go_where_their_numbers_say() -> None:
    heading = Heading("k", "name", "what it shows")
    axis = Axis("x", 0, 10, ((0, "0"), (10, "10")))
    svg = line_plot(heading, axis, axis, [Series("s", (0, 5, 10), (0, 10, 5))])
    (left, low), (middle, high), (right, half) = path_points(svg, "line")
    assert middle == pytest.approx((left + right) / 2)
    assert half == pytest.approx((low + high) / 2)
    assert high < low  # up is towards 0 in SVG
    ET.fromstring(svg)


def test_steps_enclose_the_counts() -> None:
    heading = Heading("k", "name", "what it shows")
    x, y = linear_axis("x", 0, 1), linear_axis("y", 0, 4)
    svg = step_plot(heading, x, y, [Series("s", (0, 0.5, 1), (1, 3))])
    points = path_points(svg, "line")
    area = sum((b[0] - a[0]) * (points[0][1] - a[1]) for a, b in itertools.pairwise(points))
    width, height = points[-1][0] - points[0][0], points[0][1] - min(p[1] for p in points)
    assert area == pytest.approx(width / 2 * (height / 3 + height), rel=1e-3)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (linear_axis("", 0, 1), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (linear_axis("", 0, 27.3), ["0", "10", "20"]),
        (linear_axis("", 0.4, 1), ["0.4", "0.6", "0.8", "1.0"]),
        (linear_axis("", 0.95, 1), ["0.95", "0.96", "0.97", "0.98", "0.99", "1.00"]),
        (linear_axis("", 3, 3), ["3.0", "3.2", "3.4", "3.6", "3.8", "4.0"]),
        (log_axis("", 1, 100), ["1", "2", "5", "10", "20", "50", "100"]),
        (log_axis("", 0.03, 0.4), ["0.05", "0.1", "0.2"]),
        (log_axis("", 1, 10_000), ["1", "10", "100", "1000", "10000"]),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(axis: Axis, ticks: list[str]) -> None:
    assert [shown for _, shown in axis.ticks] == ticks
    assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value, _ in axis.ticks)
    assert axis.place(axis.low) == 0
    assert axis.place(axis.high) == pytest.approx(1)


def test_markup_escapes_all_but_itself() -> None:
    assert element("p", "a < b", class_="x", hidden=True, id=None) == (
        '<p class="x" hidden>a &lt; b</p>'
    )
    assert element("img", alt='"', width=2.50, height=3) == (
        '<img alt="&quot;" width="2.5" height="3">'
    )
    assert join(element("b", "x"), None, "<") == "<b>x</b>&lt;"
    assert text("\ud800") == "\ufffd"


def themes() -> dict[str, dict[str, str]]:
    """The colour variables of the style sheet, by day and by night."""
    style = files("mmsearch.evaluation.report").joinpath("style.css").read_text("utf-8")
    day, night = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    return {"light": day, "dark": day | night}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: (L1 + 0.05) / (L2 + 0.05) of the relative luminances."""

    def luminance(colour: str) -> float:
        shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_told_from_their_ground(theme: str) -> None:
    colours = themes()[theme]
    grounds = [colours["paper"], colours["sheet"]]
    pairs = [(colours[ink], ground) for ink in ("ink", "quiet", "accent") for ground in grounds]
    pairs += [(colours["right"], colours["right-wash"]), (colours["wrong"], colours["sheet"])]
    pairs += [(colours["warn"], colours["warn-wash"]), (colours["ink"], colours["right-wash"])]
    pairs += [(colours["quiet"], colours["right-wash"])]
    assert [pair for pair in pairs if contrast(*pair) < 4.5] == []  # AA for text
    lines = [(colours[f"s{n}"], ground) for n in range(1, 7) for ground in grounds]
    assert [pair for pair in lines if contrast(*pair) < 3] == []  # AA for graphics


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server's address, and the paths that were asked of it."""
    paths: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name is http.server's
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", paths
    server.shutdown()
    thread.join()
    server.server_close()


def browse(page: Path, shot: Path) -> str:
    """What the browser's console says of `page`, whose picture goes to `shot`."""
    assert BROWSER is not None
    command = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--disable-background-networking", "--no-first-run"),
        *(f"--user-data-dir={shot.parent / 'profile'}", "--window-size=700,500"),
        *(f"--screenshot={shot}", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    return "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on the PATH to open the page in")
def test_browser_shows_the_page_with_its_style_and_lets_no_request_out(
    whole: str, tmp_path: Path, asked: tuple[str, list[str]]
) -> None:
    address, paths = asked
    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    page.write_text(whole, encoding="utf-8")
    assert browse(page, shot) == ""  # nothing was refused, so nothing was asked for
    with Image.open(shot) as picture:
        colour = "#{:02x}{:02x}{:02x}".format(*picture.convert("RGB").getpixel((2, 2)))  # type: ignore[misc]
    assert colour in {theme["paper"] for theme in themes().values()}
    # Had a caption become an element after all, the policy would still stop it; a page without one
    # beside it shows that the server would have heard.
    leak = f'<img src="{address}/leak"><script src="{address}/script"></script>'
    page.write_text(whole.replace("<main>", f"<main>{leak}"), encoding="utf-8")
    (tmp_path / "open.html").write_text(f'<img src="{address}/heard">', encoding="utf-8")
    both = tmp_path / "both.html"
    both.write_text('<iframe src="report.html"></iframe><iframe src="open.html"></iframe>', "utf-8")
    assert "Content Security Policy" in browse(both, shot)
    assert paths == ["/heard"]
