"""Random operations, few names at a time, so that most of them meet what is there."""

import operator
import os
from typing import NamedTuple

from hypothesis import strategies as st

from conformance.operations import Operation
from support.syscalls import KEEP_SIZE, NOW, OMIT, PUNCH_HOLE, RENAME_NOREPLACE

NAMES = [
    *(b"a", b"page.html", b"index.html", b"style.css", b"login.php", b".hidden", b"backup~"),
    *(b"50%", b"a b?c#d", b"new\nline", b"\xff\xfe", "grün".encode(), b"index.html.gz", b"n" * 20),
]
"""As they are, escaped in a key, never published, or the page of their directory."""

sizes = st.one_of(st.sampled_from([0, 1, 511, 512, 4096, 4097]), st.integers(0, 20_000))
offsets = st.one_of(st.sampled_from([0, 1, 4096]), st.integers(0, 30_000))
numbers = st.integers(0, 5)
modes = st.sampled_from(
    [0o644, 0o600, 0o000, 0o755, 0o700, 0o711, 0o444, 0o777, 0o4755, 0o2755, 0o2775, 0o1777]
)
owners = st.sampled_from([-1, 0, 1, 33, 65534, 2**31 + 5])
times = st.one_of(
    st.just(OMIT),
    st.just(NOW),
    st.sampled_from([0, 1, 999_999_999, 10**18 + 123_456_789, 2**31 * 10**9 + 7, 2**33 * 10**9]),
)
attributes = st.sampled_from([b"user.a", b"user.mime_type", b"user." + "ü".encode()])
values = st.binary(max_size=40)


def operation(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Operation]:
    return st.tuples(st.just(name), *arguments)


access = st.sampled_from([os.O_RDWR, os.O_RDWR, os.O_WRONLY, os.O_RDONLY])
more = st.sampled_from(
    [
        *(0, os.O_CREAT, os.O_CREAT, os.O_TRUNC, os.O_APPEND, os.O_NOFOLLOW),
        *(os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_APPEND, os.O_CREAT | os.O_EXCL),
        os.O_CREAT | os.O_NOFOLLOW,
    ]
)
flags = st.builds(operator.or_, access, more)
"""What files are opened with."""


class There(NamedTuple):
    """A name that there is when the operation is done."""

    number: int


class Within(NamedTuple):
    """A name, there or not, in a directory that there is when the operation is done."""

    number: int
    name: bytes


def places(names: list[bytes]) -> st.SearchStrategy[object]:
    """Return where an operation may take place: a path as it is, a There or a Within."""
    name = st.sampled_from(names)
    within = st.builds(Within, st.integers(0, 500), name)
    there = st.builds(There, st.integers(0, 500))
    whole = st.lists(name, min_size=1, max_size=3).map(lambda each: b"/".join([b"top", *each]))
    return st.one_of(there, there, there, there, within, within, within, whole)


def targets(names: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return what links hold. Two steps up leave `top`, but no directory is made up there."""
    name = st.sampled_from(names)
    return st.one_of(
        name,
        name,
        st.builds(lambda one, other: one + b"/" + other, name, name),
        st.builds(lambda each: b"../" + each, name),
        st.sampled_from([b".", b"/nowhere/to/go", b"x" * 300]),
    )


def operations(names: list[bytes], *, open_files: bool) -> st.SearchStrategy[Operation]:
    """Return operations; those on the tree in places (`places`) that become paths when done.

    `open_files`: also those that leave files open.
    """
    path = places(names)
    rename_flags = st.sampled_from([0, 0, 0, RENAME_NOREPLACE])
    allocations = st.sampled_from([0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE])
    lengths = st.one_of(sizes, sizes.map(lambda size: size * 3))
    files = [
        operation("open", path, flags, modes),
        operation("open", path, flags, modes),
        operation("close", numbers),
        operation("flush", numbers),
        operation("sync", numbers),
        operation("file_status", numbers),
        operation("read", numbers, sizes, offsets),
        operation("write", numbers, sizes, offsets),
        operation("write", numbers, sizes, offsets),
        operation("cut_file", numbers, lengths),
        operation("allocate", numbers, allocations, offsets, sizes.map(lambda size: size + 1)),
        operation("set_file_times", numbers, times, times),
    ]
    trees = [
        operation("put", path, sizes, modes),
        operation("put", path, sizes, modes),
        operation("replace", path, path, sizes),
        operation("get", path),
        operation("status", path, st.booleans()),
        operation("names", path),
        operation("cut", path, lengths),
        operation("make_directory", path, modes),
        operation("make_directory", path, modes),
        operation("remove_directory", path),
        operation("remove", path),
        operation("rename", path, path, rename_flags),
        operation("rename", path, path, rename_flags),
        operation("rename", path, path, rename_flags),
        operation("link", targets(names), path),
        operation("target", path),
    ]
    whole = [
        operation("set_mode", path, modes),
        operation("set_owner", path, owners, owners),
        operation("set_times", path, times, times),
        operation("extended_names", path),
        operation("extended", path, attributes),
        operation("set_extended", path, attributes, values, st.sampled_from([0, 0, 1, 2])),
        operation("remove_extended", path, attributes),
        operation("settle"),
        operation("tree"),
    ]
    return st.one_of(*(files if open_files else []), *trees, *whole)


def beginnings(names: list[bytes]) -> st.SearchStrategy[list[Operation]]:
    """Return operations that make a tree, so that the others find one."""
    path = places(names)
    public = st.sampled_from([0o644, 0o644, 0o604, 0o600])
    making = st.one_of(
        operation("put", path, sizes, public),
        operation("put", path, sizes, public),
        operation("make_directory", path, st.sampled_from([0o755, 0o755, 0o2775, 0o700])),
        operation("link", targets(names), path),
    )
    return st.lists(making, min_size=12, max_size=24)


chosen_names = st.lists(st.sampled_from(NAMES), min_size=3, max_size=5, unique=True)
