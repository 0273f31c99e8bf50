"""Answers and reports as text for people, and as JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mmsearch.models.registry import ModelRecord
    from mmsearch.quick.reader import QuickHit
    from mmsearch.types import Answer, Facet, Failure, Hit, IndexReport

    AnyHit = Hit | QuickHit

SURROGATES = re.compile("[\ud800-\udfff]")
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
FAILURES_SHOWN = 20
NOT_PRINTABLE = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # Unicode categories that a terminal may act on


def visible(text: str) -> str:
    """`text` on one line, without anything that a terminal would obey; odd bytes as \\xNN."""
    return text if text.isascii() and text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in SHORT:
        return SHORT[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode carries it
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in NOT_PRINTABLE and character != "\u200d":  # joins emoji
        return (
            f"\\x{code:02x}"
            if code < 0x100
            else f"\\u{code:04x}"
            if code < 0x10000
            else f"\\U{code:08x}"
        )
    return character


def to_json(value: Mapping[str, Any]) -> str:
    """One line of JSON; bytes of a name that are no UTF-8 stand as lone surrogates (\\udcNN).

    JSON is UTF-8: where stdout is not, only ASCII is written.
    """
    ascii_only = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    text = json.dumps(value, ensure_ascii=ascii_only, default=str)
    return SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def hit_json(hit: AnyHit) -> str:
    """`hit` as one line of JSON with the fields of `mmsearch.Hit`.

    Relevance, variants and parts stand there only where they are known.
    """
    return to_json(_hit_fields(hit))


def _hit_fields(hit: AnyHit) -> dict[str, Any]:
    value: dict[str, Any] = {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "key": hit.key,
        "modality": hit.modality,
        "path": hit.path,
        "text": hit.text,
        "group": hit.group,
        "attributes": dict(hit.attributes),
    }
    if hit.relevance is not None:
        value["relevance"] = hit.relevance
    if hit.variants is not None:
        value["variants"] = hit.variants
    if hit.parts is not None:
        value["parts"] = {name: vars(part) for name, part in hit.parts.items()}
    return value


def answer_json(answer: Answer, *, pages: bool, judged: bool) -> Iterator[str]:
    """What an answer holds beside its hits: one line for each kind that there is, told from hits
    and from each other by its first field."""
    for facet in answer.facets:
        yield to_json({"facet": facet.attribute, **_facet_fields(facet)})
    if judged and answer.no_match is not None:
        yield to_json({"no_match": answer.no_match})
    if pages:
        yield to_json({"cursor": answer.cursor, "total": answer.total})
    if answer.explain:
        yield to_json({"explain": list(answer.explain)})


def one_of_many_json(text: str, answer: Answer, *, pages: bool) -> str:
    """The whole answer to one of many queries, as one line of JSON."""
    value: dict[str, Any] = {
        "query": text,
        "hits": [_hit_fields(hit) for hit in answer.hits],
        "no_match": answer.no_match,
    }
    if answer.facets:
        value["facets"] = {facet.attribute: _facet_fields(facet) for facet in answer.facets}
    if pages:
        value |= {"cursor": answer.cursor, "total": answer.total}
    if answer.explain:
        value["explain"] = list(answer.explain)
    return to_json(value)


def _facet_fields(facet: Facet) -> dict[str, Any]:
    return {
        "counts": [{"value": value, "count": count} for value, count in facet.counts],
        "distinct": facet.distinct,
        "missing": facet.missing,
        "low": facet.low,
        "high": facet.high,
    }


def facet_table(facet: Facet) -> str:
    """An attribute's values and their counts, the most frequent first."""
    head = f"{visible(facet.attribute)}: {facet.distinct} values"
    if facet.low is not None and facet.high is not None:
        head += f" from {facet.low:g} to {facet.high:g}"
    if facet.missing:
        head += f", {facet.missing} items without"
    lines = [f"{count:>8}  {visible(str(value))}" for value, count in facet.counts]
    if facet.distinct > len(facet.counts):
        lines.append(f"{'':>8}  … and {facet.distinct - len(facet.counts)} more")
    return "\n".join([head, *lines])


def hits_table(
    hits: Sequence[AnyHit],
    files: Sequence[Path | None],
    *,
    title: str,
    width: int | None = None,
    folder: str | None = None,
) -> str:
    """A table of rank, score and what was found, lines cut to `width` columns (None: never).

    `files` are the files that the hits were found in, None for one without; `folder` as in `near`.
    """
    lines = [f"rank  score  {title}"]
    for hit, file in zip(hits, files, strict=True):
        lines.append(_cut(f"{hit.rank:>4}  {hit.score:>5.3f}  {label(hit, file, folder)}", width))
    if not hits:
        lines.append("nothing found")
    return "\n".join(lines)


def label(hit: AnyHit, file: Path | None, folder: str | None = None) -> str:
    """What names `hit` for a reader: its picture's path or its text, then the other one, if any."""
    place = visible(hit.key if file is None else near(file, folder))
    text = visible(" ".join(hit.text.split())) if hit.text else ""
    parts = (text, place) if hit.modality == "text" else (place, text)
    return "  |  ".join(part for part in parts if part)


def write_paths(
    files: Sequence[Path | None],
    end: bytes,
    *,
    out: TextIO | None = None,
    err: TextIO | None = None,
    folder: str | None = None,
) -> None:
    """The answers' files on `out`, byte for byte as they are named on disk, each with `end`.

    How many have none stands on `err`. None are stdout and stderr; `folder` as in `near`.
    """
    out, err = out or sys.stdout, err or sys.stderr
    out.flush()
    out.buffer.write(paths(files, end, folder))
    out.buffer.flush()
    err.write(note_without_a_file(files))


def paths(files: Sequence[Path | None], end: bytes, folder: str | None = None) -> bytes:
    """What `write_paths` writes on `out`."""
    return b"".join(os.fsencode(near(file, folder)) + end for file in files if file is not None)


def note_without_a_file(files: Sequence[Path | None]) -> str:
    """A line, or nothing where each answer has a file."""
    count = list(files).count(None)
    # Nothing in an answer tells one from the other.
    if count == 1:
        return "note: 1 answer is a row of a table, without a file, or a text whose file is gone\n"
    if count:
        what = "rows of tables, without a file, or texts whose files are gone"
        return f"note: {count} answers are {what}\n"
    return ""


def near(file: Path, folder: str | None = None) -> str:
    """`file` relative to `folder`, by default the working directory, if it lies inside it."""
    return str(file).removeprefix((folder or os.getcwd()) + os.sep)


def _cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def index_report(report: IndexReport) -> str:
    """What an `index` run did, on a few lines."""
    encoded = report.encoded_images + report.encoded_texts
    lines = [
        f"added {report.added}, changed {report.changed}, moved {report.moved}, "
        f"missing {report.missing}, unchanged {report.unchanged}, failed {len(report.failures)}"
    ]
    lines += failure_lines(report.failures)
    speed = (
        f"encoded {report.encoded_images} images and {report.encoded_texts} texts "
        f"in {report.seconds:.1f} s"
    )
    if report.encoded_images:
        speed += f", {report.images_per_second:.1f} images/s"
    if encoded and report.bottleneck != "none":
        speed += f"; the bottleneck was: {report.bottleneck}"
    return "\n".join([*lines, speed])


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """A line for each of the first failures, and how many more there are."""
    lines = [
        f"  failed {visible(failure.key)}: {visible(failure.reason)}"
        for failure in failures[:FAILURES_SHOWN]
    ]
    if len(failures) > FAILURES_SHOWN:
        lines.append(f"  … and {len(failures) - FAILURES_SHOWN} more: --json lists all")
    return lines


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values in two aligned columns."""
    rows = [(name, visible(value)) for name, value in pairs]
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def models_table(models: Sequence[ModelRecord]) -> list[str]:
    """A line per model: its name, whether it needs a download, and why one would take it."""
    width = max((len(model.name) for model in models), default=0)
    lines = []
    for model in models:
        parts = [f"{model.name:<{width}}", "on disk " if model.on_disk else "download"]
        if model.why:
            parts.append(f"{model.architecture}/{model.pretrained}: {model.why}")
        lines.append("  ".join(parts))
    return lines


def size(size_bytes: int) -> str:
    """Bytes for people: 512 B, 1.5 kB, 20.0 MB."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
