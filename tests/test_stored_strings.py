"""What is stored can be seen by filters: no string holds U+0000, no number is NaN."""

from __future__ import annotations

from pathlib import Path

import mmsearch
from mmsearch.filters import parse
from tests.support import ColourEncoder


def test_nul_is_cleaned_from_items_and_refused_in_updates(tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    table.write_text(
        '{"key": "t", "text": "re\\u0000d", "colour": "r\\u0000ed", "a\\u0000b": [1]}\n'
    )
    given = {"key": "u\0", "text": "\0blue", "attributes": {"x\0": ["a\0b", {"c\0": "\0"}]}}
    loop: list[object] = []
    loop.append(loop)
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as collection:
        assert collection.index([table]).failures == ()
        assert collection.upsert([given, {"key": "v", "text": "x", "n": float("nan")}]).added == 2
        report = collection.update({"u": {"ok": 1, "y\0": 1}, "v": {"y": ["\0"]}, "t": {"y": loop}})
        items = {item.key: item for item in collection._catalog.stored()}
        catalog = collection._catalog
        assert catalog.candidates(parse("colour = 'red' and ab contains 1")).tolist() == [1]
        assert catalog.candidates(parse("x contains 'ab'")).tolist() == [2]
        assert catalog.candidates(parse("n is null")).tolist() == [1, 2, 3]
    assert sorted(items) == ["t", "u", "v"]
    assert items["t"].text == "red"
    assert items["u"].attributes == {"x": ["ab", {"c": None}]}
    assert [failure.key for failure in report.failures] == ["u", "v", "t"]
    assert all("U+0000" in failure.reason for failure in report.failures[:2])


def test_numbers_of_any_size_and_letters_of_any_script_are_stored_as_they_are(
    tmp_path: Path,
) -> None:
    large = {"n": 10**30, "größe": "ü\u2028x", "f": 1e300, "list": [-(2**70), None]}
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=ColourEncoder()) as collection:
        collection.upsert(
            [{"key": "a", "text": "x", "attributes": large}, {"key": "b", "text": "y"}]
        )
        report = collection.update({"b": large, "a": {"n": 10**5000}})
        items = {item.key: item.attributes for item in collection._catalog.stored()}
        assert collection._catalog.candidates(parse("n > 1e29 and größe like 'ü%'")).tolist() == [
            1,
            2,
        ]
    assert [failure.key for failure in report.failures] == ["a"], "too long to be written"
    assert items == {"a": large, "b": large}
