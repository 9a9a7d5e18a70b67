"""The hot cache, the breaker and the limits of time, by a clock of the test's own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memfis.gateway.backend import BackendError, Document, TimedOutError, UnavailableError, Write
from memfis.gateway.breaker import Breaker
from memfis.gateway.figures import Figures
from memfis.gateway.hot import HotCache, HotItem
from memfis.gateway.items import Items
from memfis.gateway.writes import Outcome
from memfis.settings.values import GatewaySettings
from support.memory_backend import MemoryBackend, away


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """Items over a database in memory."""

    def __init__(self, **given: object) -> None:
        values = {"connection": "couchbase://x", "user": "u", "password_file": "/p", **given}
        self.settings = GatewaySettings(**values)  # type: ignore[arg-type]
        self.clock = Clock()
        self.backend = MemoryBackend(lambda: 1e9 + self.clock.now)
        self.items = Items.over(
            self.backend, self.settings, Figures(), self.clock, lambda: 1e9 + self.clock.now
        )

    async def get(self, key: bytes = b"k") -> bytes | None:
        """Return what a visitor gets; raises BackendError."""
        found = self.items.reads.get(key)
        if not isinstance(found, HotItem):
            try:
                found = await found  # type: ignore[assignment]
            except UnavailableError:
                found = self.items.reads.rescue(key)  # type: ignore[assignment]
                if found is None:
                    raise
        document = found.document() if isinstance(found, HotItem) else found
        return document.value if isinstance(document, Document) else None

    def put(self, value: bytes, key: bytes = b"k", expires: int = 0) -> None:
        """Write as another host does."""
        self.backend.put(Write(key, value, 0, expires))

    async def settle(self) -> None:
        """Let what is underway end."""
        for _ in range(20):
            await asyncio.sleep(0)


def scene(test: Callable[[Scene], Awaitable[None]], **given: object) -> None:
    async def main() -> None:
        await test(Scene(**given))

    asyncio.run(main())


def test_a_hot_page_is_asked_for_once_and_then_anew_in_the_background() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"old")
        assert await scene.get() == b"old"
        scene.put(b"new")
        scene.clock.now += 0.9
        assert await scene.get() == b"old"
        assert scene.backend.fetched == [b"k"]
        scene.clock.now += 0.2
        assert await scene.get() == b"old"  # and asked for anew
        await scene.settle()
        assert scene.backend.fetched == [b"k", b"k"]
        assert await scene.get() == b"new"

    scene(test)


def test_a_page_that_nobody_asked_for_is_not_answered_old() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"old")
        assert await scene.get() == b"old"
        scene.put(b"new")
        scene.clock.now += 2.1  # hot_ttl and a second
        assert await scene.get() == b"new"

    scene(test)


def test_many_who_ask_at_once_ask_the_database_once() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"page")
        assert await asyncio.gather(*[scene.get() for _ in range(50)]) == [b"page"] * 50
        assert await asyncio.gather(*[scene.get(b"none") for _ in range(50)]) == [None] * 50
        assert scene.backend.fetched == [b"k", b"none"]

    scene(test)


def test_questions_of_many_are_put_together() -> None:
    async def test(scene: Scene) -> None:
        keys = [b"k%d" % n for n in range(300)]
        for key in keys:
            scene.put(key, key)
        first, others = keys[:150], keys[150:]
        assert await asyncio.gather(*map(scene.get, first)) == first
        assert scene.backend.calls < 10  # nobody knows yet how large they are
        before = scene.backend.calls
        assert await asyncio.gather(*map(scene.get, others)) == others
        assert (len(scene.backend.fetched), scene.backend.calls) == (300, before + 1)

    scene(test)


def test_own_writes_are_seen_at_once_also_by_who_asked_before() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"old")
        assert await scene.get() == b"old"
        await scene.items.writes.set(Write(b"k", b"new", 0, 0))
        assert await scene.get() == b"new"
        assert await scene.items.writes.delete(b"k")
        assert await scene.get() is None
        scene.put(b"other")
        scene.backend.answers.clear()
        early = asyncio.ensure_future(scene.get())
        await scene.settle()  # it is on its way
        writing = scene.items.writes.set(Write(b"k", b"mine", 0, 0))
        scene.backend.answers.set()
        await writing
        assert await scene.get() == b"mine"
        await early
        assert await scene.get() == b"mine"

    scene(test)


def test_a_page_that_ends_is_not_answered_from_the_hot_cache() -> None:
    async def test(scene: Scene) -> None:
        now = int(1e9 + scene.clock.now)
        await scene.items.writes.set(Write(b"k", b"page", 0, now + 1))
        assert await scene.get() == b"page"
        scene.clock.now += 1.01
        assert await scene.get() is None

    scene(test, hot_ttl=10.0)


def test_an_old_page_is_better_than_none_only_as_long_as_allowed() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"page")
        assert await scene.get() == b"page"
        scene.backend.gone = away()
        scene.clock.now += 29
        assert await scene.get() == b"page"
        assert scene.items.figures.hits_stale == 1
        scene.clock.now += 2
        with pytest.raises(UnavailableError):
            await scene.get()

    scene(test, stale_if_error=30.0)


def test_by_default_no_old_page_is_answered() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"page")
        assert await scene.get() == b"page"
        scene.backend.gone = away()
        scene.clock.now += 3
        with pytest.raises(UnavailableError):
            await scene.get()

    scene(test)


def test_a_database_that_is_away_is_left_alone_until_a_probe_is_answered() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"page")
        scene.backend.gone = away()
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await scene.get()
        asked = len(scene.backend.fetched)
        breaker = scene.items.guard.breaker
        for call in (
            scene.get(),
            scene.items.writes.add(Write(b"a", b"", 0, 0)),
            scene.items.writes.flush(),
        ):
            with pytest.raises(UnavailableError, match="away"):
                await call
        assert len(scene.backend.fetched) == asked
        assert not breaker.probe_due
        scene.clock.now += 0.5
        assert breaker.probe_due
        await scene.items.guard.probe()
        assert breaker.is_open
        scene.backend.gone = None
        scene.clock.now += 0.5
        await scene.items.guard.probe()
        assert not breaker.is_open
        assert await scene.get() == b"page"

    scene(test)


def test_a_frozen_database_costs_nobody_more_than_the_limit() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"page")
        scene.backend.answers.clear()
        calls = [
            scene.get(),
            scene.items.writes.set(Write(b"a", b"", 0, 0)),
            scene.items.writes.delete(b"b"),
        ]
        results = [asyncio.ensure_future(call) for call in calls]
        await scene.settle()
        scene.clock.now += 0.3
        async with asyncio.timeout(5):
            failed = await asyncio.gather(*results, return_exceptions=True)
        assert [type(each) for each in failed] == [TimedOutError] * 3

    scene(test, timeout=0.05)


def test_what_is_large_may_come_slowly_while_the_database_answers_others() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"large", b"large")
        scene.backend.slow[b"large"] = asyncio.Event()
        visitor = asyncio.ensure_future(scene.get(b"large"))
        mount = asyncio.ensure_future(_awaited(scene.items.reads.ask(b"large")))
        for _ in range(6):
            scene.clock.now += 0.05
            await asyncio.sleep(0.1)
        assert isinstance((await asyncio.gather(visitor, return_exceptions=True))[0], TimedOutError)
        assert not mount.done()
        scene.backend.slow[b"large"].set()
        found = await mount
        assert found is not None
        assert found.value == b"large"
        scene.backend.slow[b"large"].clear()
        scene.backend.answers.clear()  # now it answers nobody
        mount = asyncio.ensure_future(_awaited(scene.items.reads.ask(b"large")))
        for _ in range(12):
            scene.clock.now += 0.1
            await asyncio.sleep(0.1)
        assert isinstance((await asyncio.gather(mount, return_exceptions=True))[0], TimedOutError)

    scene(test, timeout=0.2)


async def _awaited(future: "asyncio.Future[Document | None]") -> Document | None:
    return await future


def test_a_refusal_is_an_answer() -> None:
    async def test(scene: Scene) -> None:
        class TooBigError(BackendError):
            kind = "refused"

        scene.backend.gone = TooBigError("too big")
        for _ in range(10):
            with pytest.raises(TooBigError):
                await scene.items.writes.set(Write(b"a", b"", 0, 0))
        assert not scene.items.guard.breaker.is_open

    scene(test)


def test_the_breaker_counts_failures_in_a_row() -> None:
    clock = Clock()
    breaker = Breaker(3, 1.0, clock)
    for _ in range(5):
        breaker.failed("x")
        breaker.failed("x")
        assert not breaker.is_open
        breaker.succeeded()
    for _ in range(3):
        breaker.failed("gone")
    assert (breaker.is_open, breaker.opened, breaker.reason) == (True, 1, "gone")
    breaker.failed("still")
    assert breaker.opened == 1
    clock.now += 0.9
    assert not breaker.probe_due
    clock.now += 0.2
    assert breaker.probe_due


def test_the_hot_cache_holds_no_more_bytes_than_it_may() -> None:
    clock = Clock()
    hot = HotCache(100_000, 1.0, 0.0, clock)
    for number in range(200):
        hot.put(b"%d" % number, Document(b"x" * 1000, 0, 1))
        hot.used(b"0")
        assert hot.bytes <= 100_000
    assert hot.get(b"0") is not None  # asked for all the time
    assert hot.get(b"1") is None
    assert hot.get(b"199") is not None
    assert hot.evictions == 200 - len(hot)
    hot.put(b"large", Document(b"x" * 30_000, 0, 1))
    assert hot.get(b"large") is None  # it would push out too many
    for number in range(200):
        hot.drop(b"%d" % number)
    assert (hot.bytes, len(hot)) == (0, 0)


def test_an_append_that_would_grow_over_the_limit_is_not_made() -> None:
    async def test(scene: Scene) -> None:
        scene.put(b"x" * 1500)
        assert await scene.items.writes.extend(b"k", b"y" * 600) == (Outcome.NOT_STORED, 0)
        assert (await scene.items.writes.extend(b"k", b"y" * 500))[0] is Outcome.DONE
        assert await scene.items.writes.extend(b"k", b"y" * 49) == (Outcome.NOT_STORED, 0)
        assert (await scene.items.writes.extend(b"k", b"y" * 48))[0] is Outcome.DONE

    scene(test, max_item=2048)


def test_a_look_asks_for_no_value_that_was_seen() -> None:
    async def glance(scene: Scene, *, now: bool = False) -> tuple[int, int] | None:
        found: Any = scene.items.reads.brief(b"k", now=now)
        if isinstance(found, asyncio.Future):
            found = await found
        if found is None:
            return None
        size = len(found.value) if isinstance(found, Document) else found.size
        return size, found.flags

    async def test(scene: Scene) -> None:
        assert await glance(scene) is None
        await scene.items.writes.set(Write(b"k", b"x" * 100, 6, 0))
        scene.backend.fetched.clear()
        assert await glance(scene) == (100, 6)
        assert scene.backend.fetched == []
        scene.backend.put(Write(b"k", b"another's", 4, 0))  # a foreign write is seen
        assert await glance(scene) == (9, 4)
        assert await glance(scene) == (9, 4)
        assert scene.backend.fetched == [b"k"]
        scene.backend.put(Write(b"k", b"another's, longer", 4, 0))
        await scene.items.writes.extend(b"k", b"!")  # of what it is appended to nothing is known
        assert await glance(scene, now=True) == (18, 4)
        await scene.items.writes.delete(b"k")
        assert await glance(scene) is None
        await scene.items.writes.set(Write(b"k", b"x", 0, 0))
        await scene.backend.remove([b"k"])
        fetched = len(scene.backend.fetched)
        assert await glance(scene) is None
        assert len(scene.backend.fetched) == fetched
        await scene.items.writes.set(Write(b"k", b"x", 0, 0))
        scene.backend.gone = away()
        with pytest.raises(UnavailableError):
            await glance(scene)

    scene(test)


def test_looks_that_cannot_be_put_together_are_for_what_is_large() -> None:
    async def test(scene: Scene) -> None:
        scene.backend.many_versions = False
        for key, size in ((b"small", 100), (b"large", 1 << 20)):
            await scene.items.writes.set(Write(key, b"x" * size, 0, 0))
            found = scene.items.reads.brief(key)
            assert isinstance(found, asyncio.Future)
            await found
        assert scene.backend.fetched == [b"small"]

    scene(test)
