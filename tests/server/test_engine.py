"""The search thread: batches, limits, clients that went away, bugs, and a quiet end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import mmsearch
from mmsearch.collection import Collection
from mmsearch.errors import FilterError, ModelError
from mmsearch.server.engine import Engine
from mmsearch.server.metrics import Metrics
from mmsearch.server.problems import Problem
from mmsearch.server.settings import Settings
from mmsearch.types import Query, Term
from tests.support import ColourEncoder

Test = Callable[[Engine], Any]


class Gate(ColourEncoder):
    """Encodes texts only while it is open, and remembers the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.batches: list[list[str]] = []

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.batches.append(list(texts))
        self.reached.set()
        assert self.open.wait(30)
        return super().encode_texts(texts)


def ask(text: str, **more: Any) -> Query:
    return Query((Term(text=text),), k=1, to="image", **more)


class SlowTower(Collection):
    """Has no image tower before it is `open`."""

    def __init__(self, folder: Path, encoder: ColourEncoder) -> None:
        super().__init__(folder / ".mmsearch", encoder=encoder)
        self.open = threading.Event()

    def load_image_tower(self) -> None:
        assert self.open.wait(30)
        super().load_image_tower()


@asynccontextmanager
async def running(
    folder: Path,
    encoder: Gate,
    collection: Collection | None = None,
    metrics: Metrics | None = None,
    **settings: Any,
) -> AsyncIterator[Engine]:
    collection = collection or mmsearch.open(folder, encoder=encoder)
    engine = Engine(collection, Settings(folder, **settings), metrics or Metrics())
    engine.start()
    await asyncio.to_thread(engine.warm.wait, 30)
    encoder.batches.clear()
    encoder.reached.clear()
    try:
        yield engine
    finally:
        encoder.open.set()
        await engine.close()


async def blocked(engine: Engine, encoder: Gate) -> asyncio.Task[Any]:
    """A query that the thread is at, until the gate opens."""
    encoder.open.clear()
    encoder.reached.clear()
    task = asyncio.create_task(engine.answer(ask("first")))
    assert await asyncio.to_thread(encoder.reached.wait, 30)
    return task


def test_all_that_waits_is_answered_in_one_batch(folder: Path) -> None:
    encoder = Gate()

    async def scenario() -> None:
        async with running(folder, encoder) as engine:
            first = await blocked(engine, encoder)
            texts = ["red one", "blue one", "green one"]
            tasks = [asyncio.create_task(engine.answer(ask(text))) for text in texts]
            calls = asyncio.create_task(engine.call(lambda collection: collection.status().items))
            await asyncio.sleep(0.05)
            encoder.open.set()
            await first
            answers = [await task for task in tasks]
            found = [answer.hits[0].key for answer in answers]
            assert found == ["P1", "P3", "green.png"]
            assert encoder.batches == [["first"], texts]
            assert await calls == 11

    asyncio.run(scenario())


def test_error_stays_with_its_query(folder: Path) -> None:
    encoder = Gate()

    async def scenario() -> None:
        async with running(folder, encoder) as engine:
            first = await blocked(engine, encoder)
            good = asyncio.create_task(engine.answer(ask("red")))
            bad = asyncio.create_task(engine.answer(ask("red", where="nope = 1")))
            await asyncio.sleep(0.05)
            encoder.open.set()
            assert (await first).hits
            assert (await good).hits
            with pytest.raises(FilterError):
                await bad

    asyncio.run(scenario())


def test_full_queue_refuses_at_once(folder: Path) -> None:
    encoder = Gate()

    async def scenario() -> None:
        async with running(folder, encoder, max_waiting=2) as engine:
            first = await blocked(engine, encoder)
            tasks = [asyncio.create_task(engine.answer(ask(f"q{number}"))) for number in range(2)]
            await asyncio.sleep(0.05)
            with pytest.raises(Problem) as refused:
                await engine.answer(ask("one too many"))
            assert refused.value.status == 503
            assert refused.value.headers["Retry-After"] == "1"
            encoder.open.set()
            for task in (first, *tasks):
                assert (await task).hits

    asyncio.run(scenario())


def test_time_is_up_and_nothing_is_computed_for_nobody(folder: Path) -> None:
    encoder = Gate()

    async def scenario() -> None:
        async with running(folder, encoder, request_seconds=0.3) as engine:
            first = await blocked(engine, encoder)
            late = asyncio.create_task(engine.answer(ask("late")))
            gone = asyncio.create_task(engine.answer(ask("gone")))
            await asyncio.sleep(0.05)
            gone.cancel()
            for task in (first, late):
                with pytest.raises(Problem) as refused:
                    await task
                assert refused.value.status == 504
            encoder.open.set()
            assert (await engine.answer(ask("red"))).hits
            assert encoder.batches == [["first"], ["red"]]

    asyncio.run(scenario())


def test_bug_in_one_request_ends_nothing_else(folder: Path) -> None:
    async def scenario() -> None:
        async with running(folder, Gate()) as engine:
            with pytest.raises(ZeroDivisionError):
                await engine.call(lambda _collection: 1 // 0)
            assert (await engine.answer(ask("red"))).hits

    asyncio.run(scenario())


def test_bug_that_one_query_meets_is_its_own(folder: Path) -> None:
    class Picky(Gate):
        def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            if "bug" in texts:
                raise ZeroDivisionError
            return super().encode_texts(texts)

    encoder = Picky()

    async def scenario() -> None:
        async with running(folder, encoder) as engine:
            first = await blocked(engine, encoder)
            texts = ["red one", "bug", "blue one"]
            tasks = [asyncio.create_task(engine.answer(ask(text))) for text in texts]
            await asyncio.sleep(0.05)
            encoder.open.set()
            await first
            red, bug, blue = await asyncio.gather(*tasks, return_exceptions=True)
            assert not isinstance(red, BaseException)
            assert not isinstance(blue, BaseException)
            assert [red.hits[0].key, blue.hits[0].key] == ["P1", "P3"]
            assert isinstance(bug, ZeroDivisionError)

    asyncio.run(scenario())


def test_what_was_accepted_is_finished_at_the_end(folder: Path) -> None:
    encoder = Gate()

    async def scenario() -> None:
        async with running(folder, encoder) as engine:
            first = await blocked(engine, encoder)
            second = asyncio.create_task(engine.answer(ask("second")))
            await asyncio.sleep(0.05)
            closing = asyncio.create_task(engine.close())
            await asyncio.sleep(0.05)
            with pytest.raises(Problem) as refused:
                await engine.answer(ask("third"))
            assert refused.value.status == 503
            encoder.open.set()
            assert (await first).hits
            assert (await second).hits
            await closing

    asyncio.run(scenario())


def test_stages_are_timed_and_kept_texts_cost_no_encoding(folder: Path) -> None:
    metrics = Metrics()

    def counts() -> dict[str, float]:
        found = {
            stage: metrics.registry.get_sample_value(
                "mmsearch_stage_seconds_count", {"stage": stage}
            )
            for stage in ("encode", "hydrate", "search", "total")
        }
        return {stage: count for stage, count in found.items() if count is not None}

    async def scenario() -> None:
        async with running(folder, Gate(), metrics=metrics) as engine:
            assert counts() == {}  # warming up is nobody's query
            await engine.answer(ask("red"))
            assert counts() == {"encode": 1, "hydrate": 1, "search": 1, "total": 1}
            await engine.answer(ask("red"))
            await engine.answer(ask("red", where="price < 5"))
            assert counts() == {"encode": 1, "hydrate": 3, "search": 3, "total": 3}
            await engine.answer(RED_PICTURE)
            assert counts() == {"encode": 2, "hydrate": 4, "search": 4, "total": 4}
            await engine.answer(replace(RED_PICTURE, to="both"))  # one pass for both rankings
            assert counts() == {"encode": 3, "hydrate": 5, "search": 5, "total": 5}

    asyncio.run(scenario())


RED_PICTURE = Query((Term(image=Image.new("RGB", (40, 30), "red")),), k=1, to="image")


@pytest.mark.parametrize("warm_pictures", [True, False])
def test_texts_do_not_wait_for_the_image_tower(folder: Path, warm_pictures: bool) -> None:
    encoder = Gate()
    collection = SlowTower(folder, encoder)

    async def scenario() -> None:
        async with running(folder, encoder, collection, warm_pictures=warm_pictures) as engine:
            by_picture = asyncio.create_task(engine.answer(RED_PICTURE))
            assert (await engine.answer(ask("red"))).hits[0].key == "P1"
            assert not by_picture.done()
            await engine.check()
            collection.open.set()
            assert (await by_picture).hits[0].key in ("P1", "red.png")
            await engine.check()

    asyncio.run(scenario())


def test_search_by_a_picture_waits_so_long_and_no_longer(folder: Path) -> None:
    encoder = Gate()
    collection = SlowTower(folder, encoder)

    async def scenario() -> None:
        async with running(folder, encoder, collection, request_seconds=0.1) as engine:
            with pytest.raises(Problem) as refused:
                await engine.answer(RED_PICTURE)
            assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
            collection.open.set()

    asyncio.run(scenario())


def test_server_is_ready_without_an_image_tower(folder: Path) -> None:
    class NoTower(SlowTower):
        def load_image_tower(self) -> None:
            raise ModelError("no weights")

    encoder = Gate()

    async def scenario() -> None:
        async with running(folder, encoder, NoTower(folder, encoder)) as engine:
            await engine.check()
            with pytest.raises(ModelError, match="no weights"):
                await engine.answer(RED_PICTURE)

    asyncio.run(scenario())


def test_strangers_who_ask_whether_it_is_ready_cost_one_query_a_second(folder: Path) -> None:
    metrics = Metrics()

    async def scenario() -> None:
        async with running(folder, Gate(), metrics=metrics) as engine:
            for _ in range(20):
                await engine.check()

    asyncio.run(scenario())
    asked = metrics.registry.get_sample_value("mmsearch_batch_queries_sum")
    assert asked is not None
    assert asked < 20


def test_bug_while_it_warms_up_ends_nothing(folder: Path) -> None:
    class Once(Gate):
        def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
            if not self.reached.is_set():
                self.reached.set()
                raise ZeroDivisionError
            return super().encode_texts(texts)

    async def scenario() -> None:
        async with running(folder, encoder := Once()) as engine:
            encoder.reached.set()
            assert (await engine.answer(ask("red"))).hits

    asyncio.run(scenario())
