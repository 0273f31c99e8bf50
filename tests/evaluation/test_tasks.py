"""What is asked of a dataset, and what the answers of a real (small) encoder are worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mmsearch.errors import InputError, UsageError
from mmsearch.evaluation.attributes import attribute_tasks, phrase
from mmsearch.evaluation.dataset import read_dataset
from mmsearch.evaluation.labels import label_task, measure_labels
from mmsearch.evaluation.measure import Measured, measure_tasks
from mmsearch.evaluation.query_file import query_file_task
from mmsearch.evaluation.request import Request, measure, measure_run_file
from mmsearch.evaluation.task import Shown, Task
from mmsearch.evaluation.tasks import caption_tasks, sampled
from mmsearch.evaluation.trec import as_run, read_run, write_qrels, write_run
from tests.evaluation import worlds
from tests.support import ColourEncoder, paint


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    worlds.pictures(tmp_path)
    return worlds.table(tmp_path / "shop.jsonl")


def test_captions_and_pictures_find_each_other(shop: Path) -> None:
    tasks = Request(shop).tasks()
    assert [task.direction for task in tasks] == ["text to image", "image to text"]
    assert tasks[0].clusters[:3] == ("red.png", "red.png", "green.png")
    to_image, to_text = (one.evaluation for one in measure_tasks(tasks, ColourEncoder()))
    assert (len(to_image.queries), to_image.gallery_size) == (12, 6)
    assert (len(to_text.queries), to_text.gallery_size) == (6, 12)
    assert to_image.figure("hit@1") == 1
    assert to_text.figure("recall@1") == 0.5  # one of two captions can come first
    assert to_text.figure("AP") == 1
    assert to_image.fingerprint == ColourEncoder().fingerprint
    assert to_image.best[0].results[0].image == str(shop.parent / to_image.best[0].results[0].id)


def test_pictures_without_a_caption_are_said_to_have_none(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    (tmp_path / "red.txt").write_text("a red square")
    (tmp_path / "blue.txt").write_text("a blue square")
    tasks = Request(tmp_path).tasks()
    to_image, to_text = (one.evaluation for one in measure_tasks(tasks, ColourEncoder()))
    assert to_image.gallery_size == 6
    assert to_text.queries == ("blue.png", "red.png")
    assert to_text.warnings == (
        "4 pictures have no caption ('black.png', 'green.png', 'white.png'): they ask for nothing",
    )


def test_every_direction_of_captions(shop: Path) -> None:
    (task,) = caption_tasks(read_dataset(shop), ["mixed-to-text"])
    assert task.shown_queries["red.png"] == Shown("a red square", str(shop.parent / "red.png"))
    assert task.qrels["red.png"] == {"red.png#1": 1}
    (one,) = measure_tasks([task], ColourEncoder())
    assert one.evaluation.figure("hit@1") == 1
    assert "red.png#0" not in [
        i.id for d in one.evaluation.best for i in d.results if d.id == "red.png"
    ]
    with pytest.raises(UsageError, match="belong together"):
        caption_tasks(read_dataset(shop), ["image-to-image"])


def test_attributes_make_queries_and_judgements(shop: Path) -> None:
    (task,) = attribute_tasks(read_dataset(shop), ["shade", "colour"], ["text-to-image"])
    assert task.shown_queries["dark/red"].text == "red dark"
    assert task.qrels["dark/red"] == {"red.png": 1}
    (task,) = attribute_tasks(read_dataset(shop), ["shade"], ["text-to-image"], "a {shade} thing")
    assert task.shown_queries["light"].text == "a light thing"
    assert set(task.qrels["light"]) == {"green.png", "yellow.png", "white.png"}


def test_values_that_read_the_same_when_joined_are_queries_of_their_own(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    path = tmp_path / "t.csv"
    path.write_text("id,image,a,b\n1,red.png,x/y,z\n2,blue.png,x,y/z\n1+q,green.png,x,q+r\n")
    (task,) = attribute_tasks(read_dataset(path), ["a", "b"], ["text-to-image"])
    assert sorted(map(tuple, task.qrels.values())) == [("1",), ("1+q",), ("2",)]
    path.write_text("id,image,a\n1,red.png,r\n1+q,blue.png,q+r\n")
    (task,) = attribute_tasks(read_dataset(path), ["a"], ["mixed-to-image"])
    assert list(task.qrels.values()) == [{"1+q": 1}, {"1": 1}]


def test_attribute_in_which_the_rows_of_a_picture_differ_cannot_be_asked(tmp_path: Path) -> None:
    worlds.pictures(tmp_path)
    path = tmp_path / "t.csv"
    rows = "red.png,red,warm\nred.png,pink,warm\nblue.png,blue,cold\n"
    path.write_text("image,caption,tone\n" + rows)
    dataset = read_dataset(path)
    assert label_task(dataset, "tone").qrels["red.png"] == {"warm": 1}
    with pytest.raises(InputError, match="its rows differ in 'caption'"):
        label_task(dataset, "caption")
    with pytest.raises(InputError, match="its rows differ in 'caption'"):
        attribute_tasks(dataset, ["caption"], ["text-to-image"])


def test_pictures_with_equal_attributes_find_each_other_but_never_themselves(shop: Path) -> None:
    (task,) = attribute_tasks(read_dataset(shop), ["shade"], ["image-to-image"])
    assert set(task.qrels["red.png"]) == {"blue.png", "black.png"}
    (one,) = measure_tasks([task], ColourEncoder())
    for detail in (*one.evaluation.best, *one.evaluation.worst):
        assert detail.id not in [item.id for item in detail.results]


def test_mixed_query_asks_for_the_picture_with_another_value(shop: Path) -> None:
    (task,) = attribute_tasks(read_dataset(shop), ["shade", "colour"], ["mixed-to-image"])
    assert task.qrels["red.png+black"] == {"black.png": 1}
    assert task.own["red.png+black"] == ("red.png",)
    encoder = ColourEncoder()
    (one,) = measure_tasks([task], encoder)
    row = task.queries.index("red.png+black")
    text = encoder.encode_texts(["black"])[0]
    picture = encoder.encode_images(np.stack([encoder.preprocess(_open(shop.parent / "red.png"))]))[
        0
    ]
    wanted = (text + picture) / np.linalg.norm(text + picture)
    np.testing.assert_allclose(one.query_vectors[row], wanted, atol=1e-6)


def _open(path: Path) -> Any:
    from PIL import Image

    return Image.open(path)


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        (("gender", "articleType", "baseColour"), ("Women", "Kurtas", "Red"), "red women's kurtas"),
        (("gender", "articleType"), ("Boys", "Shirts"), "boys' shirts"),
        (("gender", "articleType"), ("Unisex", "Bags"), "unisex bags"),
    ],
)
def test_attributes_are_worded_as_a_shopper_would(
    columns: tuple[str, ...], values: tuple[str, ...], words: str
) -> None:
    assert phrase(columns, values) == words


def test_query_file_judges_items_by_key_or_by_picture(shop: Path) -> None:
    path = shop.parent / "queries.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "1", "text": "red", "relevant": ["red.png"]},
        {
            "id": "2",
            "text": "dark",
            "image": "blue.png",
            "relevant": {"black.png": 2},
        },
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = query_file_task(read_dataset(shop), path)
    assert task.qrels == {"1": {"red.png": 1}, "2": {"black.png": 2}}
    assert task.direction == "mixed to image"
    assert task.own == {"2": ("blue.png",)}
    graded = shop.parent / "qrels.json"
    graded.write_text(json.dumps({"red": {"red.png": 2, "gone.png": 1}}))
    (one,) = measure_tasks([query_file_task(read_dataset(shop), graded)], ColourEncoder())
    assert one.evaluation.figure("AP") == 0.5
    assert any("lacks 1 of 2" in text for text in one.evaluation.warnings)


@pytest.fixture
def twice(shop: Path) -> Path:
    """A shop that sells the red picture as A and B (one file), and as C (a copy of it)."""
    picture = shop.parent / "red.png"
    (shop.parent / "copy.png").write_bytes(picture.read_bytes())
    names = {"A": "red.png", "B": "red.png", "C": "copy.png", "D": "blue.png", "E": "green.png"}
    rows = [f"{key},{name},{'x' if key < 'E' else 'y'},{key}\n" for key, name in names.items()]
    path = shop.parent / "twice.csv"
    path.write_text("id,image,kind,size\n" + "".join(rows))
    return path


def measured(task: Task) -> Measured:
    (one,) = measure_tasks([task], ColourEncoder())
    return one


def test_query_picture_is_found_by_none_of_the_entries_that_show_it(twice: Path) -> None:
    path = twice.parent / "q.jsonl"
    rows = [
        {"id": "q1", "image": "red.png", "relevant": ["A", "B", "C", "D"]},
        {"id": "q2", "image": "red.png", "relevant": ["A", "C"]},
        {"id": "q3", "image": "yellow.png", "relevant": ["A"]},
        {"id": "q4", "text": "red", "relevant": ["A", "B"]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    one = measured(query_file_task(read_dataset(twice), path))
    assert one.task.qrels == {"q1": {"D": 1}, "q3": {"A": 1}, "q4": {"A": 1, "B": 1}}
    run = as_run(one.run(9))
    assert set(run["q1"]) == {"D", "E"}
    assert set(run["q3"]) == set(run["q4"]) == set("ABCDE")
    assert any("3 judged items show the very picture" in text for text in one.evaluation.warnings)
    assert any("1 queries have no other relevant" in text for text in one.evaluation.warnings)


def test_query_file_that_only_asks_pictures_for_themselves_is_an_error(twice: Path) -> None:
    path = twice.parent / "q.jsonl"
    path.write_text(json.dumps({"id": "q1", "image": "red.png", "relevant": ["A", "B"]}) + "\n")
    with pytest.raises(InputError, match="nothing is relevant to a picture but the same picture"):
        query_file_task(read_dataset(twice), path)


def test_pictures_alike_are_other_pictures_than_the_one_that_asks(twice: Path) -> None:
    (task,) = attribute_tasks(read_dataset(twice), ["kind"], ["image-to-image"])
    one = measured(task)
    assert one.task.qrels == {
        "A": {"D": 1},
        "B": {"D": 1},
        "C": {"D": 1},
        "D": {"A": 1, "B": 1, "C": 1},
    }
    assert set(as_run(one.run(9))["A"]) == {"D", "E"}


def test_mixed_query_never_finds_its_picture_under_another_value(twice: Path) -> None:
    (task,) = attribute_tasks(read_dataset(twice), ["kind", "size"], ["mixed-to-image"])
    one = measured(task)
    # A asks for B, B for C, C for D and D for A: the first two only for their own picture.
    assert one.task.qrels == {"C+D": {"D": 1}, "D+A": {"A": 1}}
    assert set(as_run(one.run(9))["C+D"]) == {"D", "E"}


def test_unreadable_query_picture_has_no_ranking_in_the_exported_run(
    shop: Path, tmp_path: Path
) -> None:
    (shop.parent / "white.png").write_bytes(b"not a picture")
    (task,) = caption_tasks(read_dataset(shop), ["image-to-text"])
    one = measured(task)
    write_run(tmp_path / "a.run", one.run(100), "m")
    write_qrels(tmp_path / "a.qrels", one.task.qrels)
    assert "white.png" not in read_run(tmp_path / "a.run")
    again = measure_run_file(Request(tmp_path / "a.qrels"), tmp_path / "a.run")
    assert again.figures == pytest.approx(one.evaluation.figures, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.jsonl", '{"text": "a", "relevant": ["x", "x"]}\n', "listed twice"),
        ("q.jsonl", '{"text": "a"}\n', "no `relevant` items"),
        ("q.jsonl", '{"relevant": ["x"]}\n', "neither a text nor an image"),
        ("q.jsonl", '{"text": "a", "relevant": {"x": 0.5}}\n', "whole grade"),
        ("q.jsonl", '{"text": "a", "relevant": ["x"]}\n' * 2, "twice"),
        ("q.json", "[]", "not an object"),
        ("q.json", '{"red": {"nothing.png": 1}}', "none of the relevant items"),
    ],
)
def test_bad_query_files_are_errors(shop: Path, name: str, text: str, message: str) -> None:
    path = shop.parent / name
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        measure_tasks([query_file_task(read_dataset(shop), path)], ColourEncoder())


def test_zero_shot_labels_have_accuracy_and_figures_per_class(shop: Path) -> None:
    one = measure_labels(label_task(read_dataset(shop), "colour"), ColourEncoder(), ["a {} thing"])
    assert one.evaluation.figures["accuracy"] == 1
    assert one.evaluation.figures["macro f1"] == 1
    one = measure_labels(label_task(read_dataset(shop), "shade"), ColourEncoder())
    true = {"light": 3, "dark": 3}
    predicted = np.argmax(
        one.query_vectors @ one.item_vectors.T, axis=1
    )  # two labels, no ties: the obvious way
    names = [one.task.items[label] for label in predicted]
    right = {
        label: sum(
            next(iter(one.task.qrels[query])) == name == label
            for query, name in zip(one.task.queries, names, strict=True)
        )
        for label in true
    }
    for figures in one.evaluation.classes:
        assert figures.support == true[figures.label]
        assert figures.predicted == names.count(figures.label)
        assert figures.recall == right[figures.label] / 3
        wanted = right[figures.label] / max(figures.predicted, 1)
        assert figures.precision == wanted
    assert one.evaluation.figure("accuracy") == sum(right.values()) / 6


def test_wrong_labels_and_templates_are_usage_errors(shop: Path) -> None:
    dataset = read_dataset(shop)
    with pytest.raises(UsageError, match="no picture has a 'size'"):
        label_task(dataset, "size")
    with pytest.raises(UsageError, match="needs one place"):
        measure_labels(label_task(dataset, "colour"), ColourEncoder(), ["a photo"])


def test_unreadable_picture_stays_wrong_in_both_directions_and_is_named(shop: Path) -> None:
    whole = [one.evaluation for one in measure_tasks(Request(shop).tasks(), ColourEncoder())]
    (shop.parent / "red.png").write_bytes(b"not a picture")
    to_image, to_text = measure_tasks(Request(shop).tasks(), ColourEncoder())
    assert to_image.failed
    assert to_image.evaluation.gallery_size == 5
    assert to_image.evaluation.figure("hit@1") == pytest.approx(10 / 12)
    assert to_text.evaluation.figure("hit@1") == pytest.approx(5 / 6)
    assert to_text.evaluation.measures["hit@1"][to_text.task.queries.index("red.png")] == 0
    for before, one in zip(whole, (to_image, to_text), strict=True):
        assert any("red.png" in text for text in one.evaluation.warnings)
        for name in ("AP", "nDCG@10", "recall@10"):
            assert one.evaluation.figure(name) <= before.figure(name)
    labels = measure_labels(label_task(read_dataset(shop), "colour"), ColourEncoder())
    assert labels.evaluation.figure("accuracy") == pytest.approx(5 / 6)
    red = next(one for one in labels.evaluation.classes if one.label == "red")
    assert (red.support, red.recall, red.f1) == (1, 0, 0)


class Interrupted(ColourEncoder):
    """Stops as Ctrl-C does, at the third picture batch."""

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if self.encoded_images >= 2:
            raise KeyboardInterrupt
        return super().encode_images(pixels)


def test_interrupted_evaluation_goes_on_where_it_was(shop: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    request = Request(shop)
    stopped = Interrupted()
    stopped.batch_size = 2
    with pytest.raises(KeyboardInterrupt):
        measure(request, request.tasks(), stopped, cache=cache)
    second = ColourEncoder()
    resumed = measure(request, request.tasks(), second, cache=cache)
    assert second.encoded_images == 4
    third = ColourEncoder()
    again = measure(request, request.tasks(), third, cache=cache)
    assert (third.encoded_images, third.encoded_texts) == (0, 0)
    fresh = measure(request, request.tasks(), ColourEncoder())
    for one, two, three in zip(fresh, resumed, again, strict=True):
        np.testing.assert_array_equal(one.item_vectors, two.item_vectors)
        assert one.evaluation.figures == two.evaluation.figures == three.evaluation.figures


def test_cache_survives_a_record_cut_off_by_a_crash(shop: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    request = Request(shop)
    before = measure(request, request.tasks(), ColourEncoder(), cache=cache)
    (file,) = cache.glob("*-image.f32")
    file.write_bytes(file.read_bytes()[:-7])
    encoder = ColourEncoder()
    after = measure(request, request.tasks(), encoder, cache=cache)
    assert encoder.encoded_images == 1
    assert before[0].evaluation.figures == after[0].evaluation.figures
    encoder = ColourEncoder()
    measure(request, request.tasks(), encoder, cache=cache)
    assert encoder.encoded_images == 0


def test_other_fingerprints_never_share_embeddings(shop: Path, tmp_path: Path) -> None:
    request = Request(shop)
    measure(request, request.tasks(), ColourEncoder(), cache=tmp_path / "cache")
    other = ColourEncoder("another")
    measure(request, request.tasks(), other, cache=tmp_path / "cache")
    assert other.encoded_images == 6


class Careless(ColourEncoder):
    """An encoder that forgets to normalise."""

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return super().encode_texts(texts) * np.float32(2)


def test_vectors_that_are_not_unit_length_are_an_error(shop: Path) -> None:
    with pytest.raises(InputError, match="not unit length"):
        measure_tasks(Request(shop).tasks(), Careless())


def test_sample_of_queries_keeps_the_gallery_and_is_stated(shop: Path) -> None:
    task = Request(shop, sample=3).tasks()[0]
    assert (len(task.queries), len(task.items), len(task.clusters)) == (3, 6, 3)
    assert any("3 of 12 queries" in text for text in task.warnings)
    whole = Request(shop).tasks()[0]
    assert sampled(whole, 99) is whole


@pytest.mark.parametrize(
    "options",
    [
        {"relevance": ("shade",), "labels": "shade"},
        {"templates": ("a {}",)},
        {"labels": "shade", "directions": ("text-to-image",)},
        {"relevance": ("shade",), "templates": ("a {shade}", "b {shade}")},
        {"relevance": ("shade",), "templates": ("a {size}",)},
        {"relevance": ("shade",), "templates": ("a {shade.x}",)},
        {"relevance": ("shade",), "templates": ("a {shade[x]}",)},
        {"relevance": ("size",)},
        {"relevance": ("shade",), "directions": ("image-to-text",)},
        {"directions": ("mixed-to-image",)},
    ],
)
def test_requests_that_make_no_sense_are_usage_errors(shop: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Request(shop, **options).tasks()


def test_same_picture_under_several_names_is_encoded_once(tmp_path: Path) -> None:
    first = paint(tmp_path / "a.png", "red")
    (tmp_path / "b.png").write_bytes(first.read_bytes())
    (tmp_path / "c.csv").write_text("image,caption\na.png,red\nb.png,red\n")
    encoder = ColourEncoder()
    measure_tasks(Request(tmp_path / "c.csv").tasks(), encoder)
    assert encoder.encoded_images == 1
