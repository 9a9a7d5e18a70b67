"""Whatever is done in a mount, it answers as a tmpfs does."""

import itertools
import os
from pathlib import Path

import pytest

from conformance.conftest import SITE
from conformance.machine import compare, difference
from conformance.operations import Actor
from conformance.publication import differences
from conformance.seeds import EFFORT, numbers
from conformance.systems import Directory, System
from support.memcached import Memcached
from support.mount import Mount

RUNS, STEPS = 40 * EFFORT, 50


class Scene:
    """A directory in a mount, and one to compare it with; they stay when the next two are made."""

    def __init__(self, mount: Path, memory: Path) -> None:
        self._roots = os.fsencode(mount), os.fsencode(memory)
        self._numbers = itertools.count()

    def __call__(self) -> tuple[System, System]:
        name = b"/%d" % next(self._numbers)
        for root in self._roots:
            os.mkdir(root + name, 0o755)
        tested, right = (Directory(root + name) for root in self._roots)
        return tested, right


def nothing_more(tested: Actor, right: Actor) -> None:
    """Nothing else is compared in the end of each history."""


@pytest.mark.parametrize("number", numbers(1))
def test_a_mount_is_like_a_tmpfs(
    mount: Mount, memory: Path, memcached: Memcached, number: int
) -> None:
    right = Actor(Directory(os.fsencode(memory)))
    done = compare(Scene(mount.path, memory), nothing_more, runs=RUNS, steps=STEPS, number=number)
    assert done > RUNS * STEPS // 2

    expected = right.do(("tree",))
    mount.unmount()
    mount.start()
    again = Actor(Directory(os.fsencode(mount.path)), right.began_ns).do(("tree",))
    assert again == expected, f"mounted again:\n{difference(expected, again)}"
    mount.unmount()
    assert [line for line in mount.said().splitlines() if "is mounted at" not in line] == []
    wrong = differences(os.fsencode(memory), os.fsencode(SITE), memcached)
    assert not wrong, "\n".join(wrong)
