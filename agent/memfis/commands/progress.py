"""A progress bar on a terminal, nothing elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from memfis.settings.values import Site

REFRESH = 0.1
"""Seconds between two drawings of the bar."""


@contextmanager
def file_progress(site: Site, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how many files of `site` were dealt with, at what rate, and how long it will take.

    Yields what to call with the number of files that were just dealt with.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    # drawn by this thread: whoever starts processes must have no other (fork(2))
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as bar:
        task: TaskID = bar.add_task(site.name, total=_files(site.root), rate="")
        drawn = 0.0

        def advance(number: int) -> None:
            nonlocal drawn
            speed = bar.tasks[0].speed
            bar.update(task, advance=number, rate=f"{speed:,.0f}/s" if speed else "")
            if time.monotonic() >= drawn + REFRESH:
                drawn = time.monotonic()
                bar.refresh()

        yield advance


def _files(root: str) -> int:
    """Return about how many files `root` has: hidden ones are not counted."""
    number = 0
    for _, directories, files in os.walk(root):
        directories[:] = [name for name in directories if not name.startswith(".")]
        number += len(files)
    return number
