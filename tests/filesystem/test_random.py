"""Whatever is done to a filesystem, it answers as the operating system's own does."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.alternating import Alternating
from conformance.kernel import Kernel
from conformance.machine import compare, difference
from conformance.memory import in_memory
from conformance.operations import Actor
from conformance.publication import differences
from conformance.seeds import EFFORT, numbers
from conformance.systems import Directory, System
from filesystem.conftest import Mount
from memfis.filesystem import Filesystem
from memfis.settings.values import Site
from support.memcached import Memcached

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do all that is compared")

RUNS, STEPS = 40 * EFFORT, 50

LATER = 10.0
"""Seconds after which each mount has heard of everything."""


@pytest.fixture
def memory() -> Iterator[Path]:
    with in_memory() as directory:
        yield directory


class Scene:
    """A site that is mounted `mounts` times, and a directory to compare it with."""

    def __init__(
        self,
        new_site: Callable[[], Site],
        mount: Mount,
        memory: Path,
        memcached: Memcached,
        mounts: int = 1,
        batch: float = 0.0,
    ) -> None:
        self._new_site = new_site
        self._mount = mount
        self._memory = memory
        self._memcached = memcached
        self._mounts = mounts
        self._batch = batch
        self._numbers = itertools.count()
        self._seconds = 0.0
        self._site: Site
        self._root: Path
        self._filesystems: list[Filesystem]

    def __call__(self) -> tuple[System, System]:
        self._site = self._new_site()
        self._root = self._memory / str(next(self._numbers))
        self._root.mkdir(0o755)
        if self._mounts == 1:
            # Of what waits nothing is written until it must be, or a step has taken long enough.
            self._filesystems = [self._mount(self._site, batch=self._batch)]
            return Kernel(self._filesystems[0]), Directory(os.fsencode(self._root))
        self._filesystems = [
            self._mount(self._site, timeout=0, clock=lambda: self._seconds)
            for _ in range(self._mounts)
        ]
        return Alternating(self._filesystems), Directory(os.fsencode(self._root))

    def end(self, tested: Actor, right: Actor) -> None:
        """Compare what another mount finds in the store, and what nginx would."""
        expected = right.do(("tree",))
        assert tested.do(("tree",)) == expected
        self._seconds += LATER
        for each in self._filesystems:
            each.write_pending()
        for each in self._filesystems:
            assert each.close() == []
        again = self._mount(self._site)
        got = Actor(Kernel(again), right.began_ns).do(("tree",))
        assert got == expected, f"another mount:\n{difference(expected, got)}"
        assert again.close() == []
        wrong = differences(os.fsencode(self._root), os.fsencode(self._site.name), self._memcached)
        assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("number", numbers(2))
def test_a_mount_is_like_a_directory(
    new_site: Callable[[], Site], mount: Mount, memory: Path, memcached: Memcached, number: int
) -> None:
    scene = Scene(new_site, mount, memory, memcached)
    done = compare(scene, scene.end, runs=RUNS, steps=STEPS, number=number)
    assert done > RUNS * STEPS // 2


@pytest.mark.parametrize("batch", [0.001, 3600.0])
@pytest.mark.parametrize("number", numbers(1)[-1:])
def test_a_mount_that_collects_changes_is_like_a_directory(
    new_site: Callable[[], Site],
    mount: Mount,
    memory: Path,
    memcached: Memcached,
    number: int,
    batch: float,
) -> None:
    scene = Scene(new_site, mount, memory, memcached, batch=batch)
    done = compare(scene, scene.end, runs=RUNS // 2, steps=STEPS, number=number)
    assert done > RUNS * STEPS // 4


@pytest.mark.parametrize("number", numbers(1))
def test_two_mounts_are_like_one_directory(
    new_site: Callable[[], Site], mount: Mount, memory: Path, memcached: Memcached, number: int
) -> None:
    scene = Scene(new_site, mount, memory, memcached, mounts=2)
    done = compare(scene, scene.end, runs=RUNS // 4, steps=STEPS, number=number, open_files=False)
    assert done > RUNS * STEPS // 8
