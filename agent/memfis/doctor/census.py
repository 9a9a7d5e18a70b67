"""What a web root holds: what would be published, what not and why, and how large it would be."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from memfis.layout.keys import directory_key, head_of, page_key
from memfis.layout.pages import make_page, may_fit
from memfis.layout.records import Entry, encode_log
from memfis.layout.validators import head_of_file
from memfis.settings.values import Site
from memfis.webroot import WebRoot

SAMPLES = 200
"""About how many files are read to learn how far the others can be compressed."""

CHUNK = 4 * 1024 * 1024
"""Bytes of files whose records are appended at once, about (sync/apply.py)."""

EXAMPLES = 3
"""Paths that are named of what a reason keeps out of memory."""

_FLAGS_DIGITS = 9
"""A record has the page's flags, up to ten digits, where the scan has a 0."""

_DETAILS = re.compile(r"[:,(]")


class Cases(msgspec.Struct):
    """How many paths have something in common, and the first of them."""

    number: int = 0
    examples: list[bytes] = msgspec.field(default_factory=list)

    def add(self, path: bytes) -> None:
        """Count `path`."""
        self.number += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(path)


class StoredItem(NamedTuple):
    """An item that a sync would write: lengths in bytes of its key and value."""

    path: bytes
    key: int
    value: int
    is_page: bool
    """Or the head of one."""
    appends: int = 0
    """In how many steps the records of a directory are written."""


class Rendered(msgspec.Struct, kw_only=True):
    """Pages of one site that PHP makes, as the store has them; `bytes`: identity content."""

    most: int
    """How many there may be, by the site's settings."""
    is_counted: bool = msgspec.field(default=True, name="known")
    """False: the store does not tell how many there are."""
    pages: int = 0
    bytes: int = 0


class Census(msgspec.Struct):
    """One web root, counted. `bytes`: identity content of the files that would be published."""

    files: int = 0
    directories: int = 0
    bytes: int = 0
    sampled: int = 0
    """Files that were compressed to estimate what the others come to."""
    skipped: defaultdict[str, Cases] = msgspec.field(default_factory=lambda: defaultdict(Cases))
    """By reason, what settings leave to the disk."""
    problems: defaultdict[str, Cases] = msgspec.field(default_factory=lambda: defaultdict(Cases))
    """By reason, what should be in memory and cannot."""
    unreadable: Cases = msgspec.field(default_factory=Cases)
    """What nginx's user can read, and whoever runs this process cannot."""
    rendered: Rendered | None = None
    """None: of a site without PHP."""
    items: list[StoredItem] = msgspec.field(default_factory=list)


class _File(NamedTuple):
    directory: bytes
    entry: Entry

    @property
    def name(self) -> bytes:
        return self.entry.raw

    @property
    def path(self) -> bytes:
        return self.directory + self.name

    @property
    def size(self) -> int:
        return self.entry.size

    @property
    def kind(self) -> tuple[bytes, int]:
        """Extension and power of two of the size: such files are compressed about equally well."""
        return os.path.splitext(self.name)[1].lower(), self.size.bit_length()


def take(site: Site, webroot: WebRoot, progress: Callable[[int], None]) -> Census:
    """Count what `webroot` publishes for `site`, and estimate the items that it would be.

    `progress` is called with the number of files that were just counted. Only a sample of the files
    is read.
    """
    census = Census()
    files: list[_File] = []
    for listing in webroot.walk():
        census.directories += 1
        for skipped in listing.skipped:
            census.skipped[skipped.reason].add(skipped.path)
        for problem in listing.problems:
            census.problems[_DETAILS.split(problem.reason)[0].strip()].add(problem.path)
        pages = [entry for entry in listing.entries.values() if not entry.is_directory]
        log = len(encode_log(listing.entries.values())) + _FLAGS_DIGITS * len(pages)
        key = len(directory_key(site.name, listing.path))
        appends = -(-sum(entry.size for entry in pages) // CHUNK)
        census.items.append(StoredItem(listing.path, key, log, is_page=False, appends=appends))
        for entry in pages:
            path = listing.path + entry.raw
            if os.access(webroot.root + path, os.R_OK):
                files.append(_File(listing.path, entry))
            else:
                census.unreadable.add(path)
        progress(len(pages))
    for file, stored in _stored(webroot, files, site, census):
        if stored is None or stored > site.max_page:
            census.skipped[f"larger than {site.max_page} bytes as stored"].add(file.path)
            continue
        census.files += 1
        census.bytes += file.size
        url = webroot.url(file.directory, file.name)
        page = page_key(site.name, url)
        census.items.append(StoredItem(file.path, len(page), stored, is_page=True))
        if site.has_heads:
            head = len(head_of_file(file.entry))
            census.items.append(StoredItem(file.path, len(head_of(page)), head, is_page=True))
    return census


def _stored(
    webroot: WebRoot, files: list[_File], site: Site, census: Census
) -> Iterator[tuple[_File, int | None]]:
    """Yield each of `files` with its size as stored, estimated, or None where it is too large.

    Files of one extension and about one size are compressed alike, so of each such kind a few are
    compressed, more where there is more. What is not sampled counts uncompressed.
    """
    compression = site.compression
    kinds: defaultdict[tuple[bytes, int], list[_File]] = defaultdict(list)
    total = 0
    for file in files:
        if may_fit(file.name, file.size, site.max_page, compression):
            kinds[file.kind].append(file)
            total += file.size
        else:
            yield file, None
    for alike in sorted(kinds.values(), key=_volume, reverse=True):
        share = SAMPLES * _volume(alike) // max(total, 1)
        wanted = min(max(share, 4), len(alike)) if census.sampled < SAMPLES else 0
        sampled: list[float] = []
        for number in range(wanted):
            file = alike[number * len(alike) // wanted]
            try:
                with webroot.files(file.directory) as opened:
                    content, _ = opened.read(file.entry)
            except OSError:
                continue  # changed since it was listed
            page = make_page(file.name, content, compression)
            sampled.append(len(page.value) / max(len(content), 1))
        census.sampled += len(sampled)
        for number, file in enumerate(alike):
            # each sample stands for its neighbours: a mean would put too many into one slab class
            part = sampled[number * len(sampled) // len(alike)] if sampled else 1
            yield file, math.ceil(file.size * part)


def _volume(files: list[_File]) -> int:
    return sum(file.size for file in files)
