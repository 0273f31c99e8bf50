"""Moving a collection to another encoder, and back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import mmsearch
from mmsearch.errors import (
    EncoderMismatchError,
    LockedError,
    ModelError,
    NoCollectionError,
    UsageError,
)
from mmsearch.types import DerivedEncoder, Progress
from tests.support import ColourEncoder, TurnedEncoder, paint, shop

Hits = list[tuple[str, float]]


def other_encoder() -> ColourEncoder:
    return ColourEncoder("0the2", name="other", dim=24, seed=11)


@pytest.fixture
def old() -> ColourEncoder:
    return ColourEncoder()


@pytest.fixture
def new() -> ColourEncoder:
    return other_encoder()


@pytest.fixture
def collection(tmp_path: Path, old: ColourEncoder) -> Iterator[mmsearch.Collection]:
    """Six pictures and three texts, encoded by `old`."""
    with mmsearch.open(tmp_path / ".mmsearch", create=True, encoder=old) as opened:
        opened.index([shop(tmp_path / "photos")])
        yield opened


@pytest.fixture
def reader(
    collection: mmsearch.Collection, old: ColourEncoder, new: ColourEncoder
) -> Iterator[mmsearch.Collection]:
    """Another view of the same collection, as a server has it; it knows both encoders."""
    with mmsearch.open(collection.path, encoder=[old, new]) as opened:
        yield opened


def answers(collection: mmsearch.Collection) -> list[Hits]:
    """What a collection says to pictures by text, texts by text."""
    queries = ["red", "something blue", "yellow and white"]
    found = collection.search_many(queries, to="image", k=20)
    found += collection.search_many(queries, to="text", k=20)
    return [[(hit.key, hit.score) for hit in hits] for hits in found]


def at(step: str, do: Callable[[], object], times: int = 1) -> Callable[[Progress], None]:
    """Calls `do` the first `times` times that `step` is reached."""
    left = [times]

    def on_progress(progress: Progress) -> None:
        if progress.step == step and left[0]:
            left[0] -= 1
            do()

    return on_progress


def test_moved_collection_answers_as_one_that_the_new_encoder_indexed(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    report = collection.reindex(new)
    assert (report.switched, report.model, report.failures) == (True, "other", ())
    assert (report.encoded_images, report.encoded_texts) == (6, 3)
    with mmsearch.open(tmp_path / "fresh", create=True, encoder=other_encoder()) as fresh:
        fresh.index([tmp_path / "photos"])
        assert answers(collection) == answers(fresh)
    assert collection.check().problems == ()
    assert (collection.status().model, collection.status().dim) == ("other", 24)


def test_reader_gets_the_old_answers_until_the_switch_and_the_new_ones_after_it(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder
) -> None:
    before = answers(reader)
    asked = []

    def ask(progress: Progress) -> None:
        if progress.step not in ("switched", "loading model"):
            asked.append(progress.step)
            assert answers(reader) == before, progress.step

    collection.reindex(new, on_progress=ask)
    assert {"encoded", "rows written", "committed", "ready to switch"} <= set(asked)
    assert answers(reader) != before
    assert answers(reader) == answers(collection)


def test_reader_without_the_new_encoder_is_told_so(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as reader:
        assert reader.search("red") != []
        collection.reindex(new)
        with pytest.raises(EncoderMismatchError, match="holds vectors of other"):
            reader.search("red")


def test_switch_in_the_middle_of_a_query_is_answered_by_the_new_space(
    collection: mmsearch.Collection, old: ColourEncoder, new: ColourEncoder
) -> None:
    class Slow(ColourEncoder):
        """Meanwhile, the collection moves on and the old vectors go."""

        def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            if collection.status().model == "colours":
                collection.reindex(new)
                collection.drop_old()
            return super().encode_texts(texts)

    with mmsearch.open(collection.path, encoder=[Slow(), new]) as reader:
        hits = [(hit.key, hit.score) for hit in reader.search("red", k=20)]
    assert hits == [(hit.key, hit.score) for hit in collection.search("red", k=20)]
    assert len(hits) == 6


def test_what_others_write_meanwhile_is_in_the_new_space(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    def write() -> None:
        paint(tmp_path / "photos" / "scarlet.png", (230, 25, 35))
        assert reader.index([tmp_path / "photos"]).added == 1
        assert reader.remove(["photos/black.png"]) == 1

    report = collection.reindex(new, on_progress=at("committed", write))
    assert (report.switched, report.failures) == (True, ())
    found = {hit.key for hit in reader.search("red", k=20)}
    assert "photos/scarlet.png" in found
    assert "photos/black.png" not in found
    assert reader.check().problems == ()


def test_rollback_gives_the_old_answers_without_encoding_anything(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder
) -> None:
    before = answers(collection)
    collection.reindex(new)
    after = answers(collection)
    report = collection.rollback()
    assert (report.switched, report.model) == (True, "colours")
    assert (report.encoded_images, report.encoded_texts, report.adapted) == (0, 0, 0)
    assert answers(collection) == answers(reader) == before
    collection.rollback()  # and forwards again
    assert answers(collection) == answers(reader) == after


def test_what_was_read_of_items_stays_in_memory_when_the_collection_moves(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder
) -> None:
    def found() -> tuple[list[str], str]:
        """Keys, and how the filter was answered."""
        answer = reader.answer("red", where="key like '%e%'", explain=True)
        (way,) = [line for line in answer.explain if line.startswith("filter")]
        return sorted(hit.key for hit in answer.hits), way.partition(" in ")[0]

    assert "by SQL" in found()[1]
    before = found()
    assert "columns" in before[1]
    collection.reindex(new)
    assert found() == before
    collection.rollback()
    assert found() == before


def test_rollback_encodes_what_came_in_since_and_readers_find_it(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    reader.search("red")  # an index of the old space, which knows nothing of what follows
    collection.reindex(new)
    paint(tmp_path / "photos" / "scarlet.png", (230, 25, 35))
    collection.index([tmp_path / "photos"])
    report = collection.rollback()
    assert (report.encoded_images, report.encoded_texts) == (1, 0)
    assert "photos/scarlet.png" in {hit.key for hit in reader.search("red", k=20)}
    with mmsearch.open(collection.path, encoder=ColourEncoder()) as cold:
        assert answers(cold) == answers(reader)
        assert cold.check().problems == ()


def test_rollback_without_the_model_says_what_can_be_done(
    tmp_path: Path, new: ColourEncoder
) -> None:
    gone = ColourEncoder(name="./colours")
    with mmsearch.open(tmp_path / "c", create=True, encoder=gone) as collection:
        collection.index([shop(tmp_path / "photos")])
        collection.reindex(new)
        paint(tmp_path / "photos" / "scarlet.png", (230, 25, 35))
        collection.index([tmp_path / "photos"])
    with mmsearch.open(tmp_path / "c") as collection:
        with pytest.raises(ModelError, match=r"1 items have no vectors of ./colours.*--allow-miss"):
            collection.rollback()
        assert collection.status().model == "other"
        report = collection.rollback(allow_missing=True)
        assert [failure.key for failure in report.failures] == ["photos/scarlet.png"]
        assert collection.status().model == "./colours"


def test_no_way_back_without_a_previous_model(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    with pytest.raises(UsageError, match="no previous model"):
        collection.rollback()
    collection.reindex(new)
    assert collection.drop_old()[0] == ["colours"]
    with pytest.raises(UsageError, match="no previous model"):
        collection.rollback()


def test_previous_model_is_the_one_that_was_left_last(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    collection.reindex(new)
    collection.reindex(ColourEncoder("3d", name="third", seed=3))
    states = [(space.encoder.name, space.state) for space in collection.status().spaces]
    assert states == [("third", "current"), ("other", "left"), ("colours", "left")]
    assert collection.rollback().model == "other"


def test_picture_that_is_gone_keeps_the_collection_where_it_is(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    before = answers(collection)
    (tmp_path / "photos" / "red.png").unlink()
    report = collection.reindex(new)
    assert not report.switched
    ((key, reason),) = [(failure.key, failure.reason) for failure in report.failures]
    assert key == "photos/red.png"
    assert "no such file" in reason
    assert answers(collection) == before
    paint(tmp_path / "photos" / "red.png", "red")
    report = collection.reindex(new)
    assert (report.switched, report.encoded_images) == (True, 1)


def test_without_the_missing_picture_its_text_is_found_and_the_picture_when_it_returns(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    picture = tmp_path / "photos" / "red.png"
    picture.rename(tmp_path / "elsewhere.png")
    report = collection.reindex(new, allow_missing=True)
    assert (report.switched, len(report.failures)) == (True, 1)
    assert "photos/red.png" not in {hit.key for hit in collection.search("red", k=20)}
    assert collection.search("red", to="text", k=1)[0].key == "photos/red.png"
    assert collection.check().problems == ("photos/red.png has no vector",)
    (tmp_path / "elsewhere.png").rename(picture)
    assert collection.index([tmp_path / "photos"]).encoded_images == 1
    assert collection.search("red", k=1)[0].key == "photos/red.png"
    assert collection.check().problems == ()


def test_item_that_waited_is_found_as_soon_as_its_twin_is_encoded(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    (tmp_path / "twin").mkdir()
    shutil.copy(tmp_path / "photos" / "green.png", tmp_path / "twin" / "green.png")
    collection.index([tmp_path / "twin"])
    for folder in ("photos", "twin"):
        (tmp_path / folder / "green.png").rename(tmp_path / f"{folder}-green.png")
    assert len(collection.reindex(new, allow_missing=True).failures) == 2
    assert len(collection.search("green", k=20)) == 5
    (tmp_path / "twin-green.png").rename(tmp_path / "twin" / "green.png")
    collection.index([tmp_path / "twin"])
    top = {hit.key for hit in collection.search("green", k=2)}
    assert top == {"photos/green.png", "twin/green.png"}


def test_one_of_two_equal_pictures_is_enough(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    shutil.copy(tmp_path / "photos" / "green.png", tmp_path / "photos" / "zz.png")
    collection.index([tmp_path / "photos"])
    (tmp_path / "photos" / "green.png").unlink()
    report = collection.reindex(new)
    assert (report.switched, report.failures) == (True, ())


def test_picture_that_changed_is_not_taken_for_the_one_that_was_indexed(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    paint(tmp_path / "photos" / "black.png", "yellow")
    report = collection.reindex(new)
    assert not report.switched
    assert "changed since it was indexed" in report.failures[0].reason
    collection.index([tmp_path / "photos"])
    assert collection.reindex(new).switched


def test_item_that_was_missing_is_no_obstacle_and_is_encoded_when_it_returns(
    collection: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    (tmp_path / "photos" / "white.png").rename(tmp_path / "white.png")
    collection.index([tmp_path / "photos"])
    assert collection.reindex(new).switched
    (tmp_path / "white.png").rename(tmp_path / "photos" / "white.png")
    assert collection.index([tmp_path / "photos"]).encoded_images == 1
    assert collection.search("white", k=1)[0].key == "photos/white.png"


def test_interrupted_run_goes_on_where_it_was(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    first = collection.reindex(new, on_progress=at("committed", interrupt))
    assert (first.interrupted, first.switched) == (True, False)
    assert [space.state for space in collection.status().spaces] == ["current", "unfinished"]
    second = collection.reindex(new)
    assert second.switched
    assert first.encoded_images + second.encoded_images == 6
    assert 0 < first.encoded_images < 6


def test_second_reindex_is_told_at_once(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder
) -> None:
    def try_again() -> None:
        with pytest.raises(LockedError, match="another `mmsearch reindex`"):
            reader.reindex(new)
        with pytest.raises(LockedError, match="another `mmsearch reindex`"):
            reader.drop_old()

    assert collection.reindex(new, on_progress=at("committed", try_again)).switched


def test_same_model_under_another_name_is_nothing_to_do(collection: mmsearch.Collection) -> None:
    report = collection.reindex(ColourEncoder(name="the same"))
    assert report.switched
    assert (report.encoded_images, report.model) == (0, "colours")
    assert "already" in report.notes[0]


def test_collection_that_holds_nothing_cannot_move(tmp_path: Path, new: ColourEncoder) -> None:
    with (
        mmsearch.open(tmp_path / "c", create=True) as empty,
        pytest.raises(NoCollectionError, match="holds nothing yet"),
    ):
        empty.reindex(new)


def test_dropped_models_leave_no_file_and_the_answers_stay(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    collection.reindex(new)
    before = answers(collection)
    models, freed = collection.drop_old()
    assert models == ["colours"]
    assert freed > 0
    files = [p.name for d in ("vectors", "index") for p in (collection.path / d).iterdir()]
    assert files != []
    assert all(name.startswith("0the2") for name in files)
    assert [space.encoder.name for space in collection.status().spaces] == ["other"]
    assert answers(collection) == before
    assert collection.check().problems == ()
    assert collection.drop_old() == ([], 0)


def test_damage_in_a_kept_space_is_found_and_encoded_again_on_the_way_back(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    before = answers(collection)
    collection.reindex(new)
    path = collection.path / "vectors" / "c0105.f16"
    path.write_bytes(b"\0" * path.stat().st_size)
    assert all("of colours are damaged" in problem for problem in collection.check().problems)
    assert collection.check(repair=True).remaining == ()
    report = collection.rollback()
    assert (report.encoded_images, report.encoded_texts) == (6, 3)
    assert sorted(answers(collection)[0]) == sorted(before[0])


def test_derived_encoder_needs_no_file(
    collection: mmsearch.Collection, old: ColourEncoder, tmp_path: Path
) -> None:
    turned = TurnedEncoder(old)
    assert isinstance(turned, DerivedEncoder)
    assert not isinstance(old, DerivedEncoder)
    (tmp_path / "photos").rename(tmp_path / "gone")
    before = old.encoded_images, old.encoded_texts
    report = collection.reindex(turned)
    assert (report.switched, report.adapted, report.failures) == (True, 9, ())
    assert (report.encoded_images, report.encoded_texts) == (0, 0)
    assert (old.encoded_images, old.encoded_texts) == before
    (tmp_path / "gone").rename(tmp_path / "photos")
    with mmsearch.open(tmp_path / "f", create=True, encoder=TurnedEncoder(old)) as fresh:
        fresh.index([tmp_path / "photos"])
        for ours, direct in zip(answers(collection), answers(fresh), strict=True):
            assert dict(ours) == pytest.approx(dict(direct), abs=2e-3)  # two roundings to float16


def test_derived_encoder_that_reads_pictures_reuses_the_texts(
    collection: mmsearch.Collection, old: ColourEncoder
) -> None:
    report = collection.reindex(TurnedEncoder(old, reuses_images=False))
    assert (report.switched, report.adapted) == (True, 3)
    assert (report.encoded_images, report.encoded_texts) == (6, 0)


def test_derived_encoder_of_another_base_encodes_everything(
    collection: mmsearch.Collection, new: ColourEncoder
) -> None:
    report = collection.reindex(TurnedEncoder(new))
    assert (report.adapted, report.encoded_images, report.encoded_texts) == (0, 6, 3)


def test_writer_that_holds_the_lock_for_long_is_waited_for(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        assert go_on.wait(20)

    paint(tmp_path / "photos" / "scarlet.png", (230, 25, 35))
    writer = threading.Thread(
        target=lambda: reader.index([tmp_path / "photos"], on_progress=at("committed", hold))
    )
    writer.start()
    assert started.wait(20)

    def note(progress: Progress) -> None:
        if progress.step.startswith("note: another run is writing"):
            go_on.set()

    assert collection.reindex(new, on_progress=note).switched
    writer.join(20)
    assert "photos/scarlet.png" in {hit.key for hit in collection.search("red", k=20)}


def test_reader_that_slept_through_a_switch_there_and_back_has_no_stale_index(
    collection: mmsearch.Collection, reader: mmsearch.Collection, new: ColourEncoder, tmp_path: Path
) -> None:
    (tmp_path / "photos" / "red.png").rename(tmp_path / "red.png")
    collection.reindex(new, allow_missing=True)
    assert len(reader.search("red", k=20)) == 5
    (tmp_path / "red.png").rename(tmp_path / "photos" / "red.png")
    collection.rollback()
    assert collection.reindex(new).encoded_images == 1
    assert len(reader.search("red", k=20)) == 6
