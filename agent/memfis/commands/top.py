"""`memfis top`."""

import itertools
import json
import os
import signal
import sys
import threading
import time

import click

from memfis.commands.looks import Look, Looks
from memfis.commands.options import SiteFlags, site_options
from memfis.commands.terminal import Events, keyboard
from memfis.layout.paths import size

LEAVING = ("q", "Q", "\x04")
"""Keys; the last is Ctrl-D."""


@click.command()
@site_options
@click.option(
    *("--interval", "-i"),
    metavar="SECONDS",
    type=click.FloatRange(0.1, 86400),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option(
    *("--count", "-n"), metavar="N", type=click.IntRange(1), help="End after so many looks."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document a line.")
def top(flags: SiteFlags, interval: float, count: int | None, as_json: bool) -> int:
    """Watch sites, stores and the agent: what `memfis status` shows, once a second.

    In a terminal it fills the screen; `q` or Ctrl-C ends it, and Ctrl-Z suspends it. Elsewhere, as
    in a pipe or a file, each look is one line. Hits and misses are the store's, for each second
    since the look before: visitors' requests, and the looks of the agent. Of a site that nginx
    reads by Lua its own are beside it: what visitors were answered from memory, and by the
    fallback. php/s is how many requests of a site PHP answered, as nginx tells the agent.

    A store or an agent that is away is shown, and looked for again. Settings are read anew at each
    look. What a site that a mount fills has is counted every 30 seconds. Run it as root: only the
    agent's own user and root may ask the agent.

    \b
      memfis top
      memfis top --site www.example.org --interval 5 | tee /tmp/watched
      memfis top --json --count 60 | jq .stores
    """
    flags.settings(may_be_empty=True)  # what is wrong with them is said before anything is shown
    looks = Looks(lambda: flags.settings(may_be_empty=True))
    if sys.stdout.isatty() and not as_json:
        return _Screen(looks, interval, count).show()
    for due in _ticks(interval, count):
        time.sleep(max(due - time.monotonic(), 0))
        look = looks.look()
        click.echo(json.dumps(_document(look)) if as_json else _line(look))
    return 0


def _ticks(interval: float, count: int | None) -> "itertools.chain[float]":
    """Yield when to look, on the monotonic clock; a look that was late moves no other."""
    begun = time.monotonic()
    numbers = itertools.count() if count is None else range(count)
    return itertools.chain(begun + number * interval for number in numbers)


def _document(look: Look) -> dict[str, object]:
    rates = {
        url: {
            "hits_per_second": round(each.hits, 3),
            "misses_per_second": round(each.misses, 3),
            "hit_ratio": None if each.ratio is None else round(each.ratio, 4),
        }
        for url, each in look.rates.items()
    }
    return {
        "time": look.time,
        "sites": look.sites,
        "stores": rates,
        "visitors": {
            name: {
                "hits_per_second": round(each.hits, 3),
                "fallbacks_per_second": round(each.misses, 3),
            }
            for name, each in look.visitors.items()
        },
        "renders_per_second": {name: round(each, 3) for name, each in look.renders.items()},
        "php_per_second": {name: round(each, 3) for name, each in look.answered.items()},
        "troubles": list(look.troubles()),
    }


def _line(look: Look) -> str:
    agents = [
        each["agent"] for each in look.sites if each["agent"] and "error" not in each["agent"]
    ]
    rendering = [each["rendering"] for each in agents if "rendering" in each]
    statistics = [each["statistics"] for each in look.stores.values() if "statistics" in each]
    figures: dict[str, object] = {
        "sites": len(look.sites),
        "pages": sum(each.get("pages", 0) for each in look.sites),
        "pending": sum(each["pending_directories"] for each in agents),
        "held": sum(each["held"]["pages"] for each in agents if each["held"]),
        "not_in_memory": sum(sum(each["problems"].values()) for each in agents),
        "rendered": sum(each["pages"] for each in rendering),
        "waiting": sum(each["waiting"] for each in rendering),
        "renders/s": f"{sum(look.renders.values()):.1f}",
        "php/s": f"{sum(look.answered.values()):.1f}",
        "visitors/s": f"{sum(each.hits for each in look.visitors.values()):.1f}",
        "fallbacks/s": f"{sum(each.misses for each in look.visitors.values()):.1f}",
        "hits/s": f"{sum(each.hits for each in look.rates.values()):.1f}",
        "misses/s": f"{sum(each.misses for each in look.rates.values()):.1f}",
        "memory": size(sum(each["bytes"] for each in statistics)).replace(" ", ""),
        "evicted": sum(each["evictions"] for each in statistics),
    }
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(look.time))
    words = [when, *(f"{name}={figure}" for name, figure in figures.items())]
    return " ".join(words) + "".join(f"; {each}" for each in look.troubles())


class _Screen:
    """The live view. Another thread looks, as a store that hangs takes seconds to ask."""

    def __init__(self, looks: Looks, interval: float, count: int | None) -> None:
        self._looks = looks
        self._interval = interval
        self._count = count
        self._events = Events()
        self._look: Look | None = None
        self._failed: BaseException | None = None
        self._done = False

    def show(self) -> int:
        """Show it until somebody leaves; return the exit code."""
        threading.Thread(target=self._keep_looking, daemon=True).start()
        with self._events.heard():
            while (ended := self._show()) == signal.SIGTSTP:
                os.kill(os.getpid(), signal.SIGSTOP)  # until SIGCONT
        if self._failed is not None:
            raise self._failed
        return 0 if ended is None else 128 + ended

    def _keep_looking(self) -> None:
        try:
            for due in _ticks(self._interval, self._count):
                time.sleep(max(due - time.monotonic(), 0))
                self._look = self._looks.look()
                self._events.tell()
        except BaseException as error:  # raised again by the thread that shows
            self._failed = error
        self._done = True
        self._events.tell()

    def _show(self) -> signal.Signals | None:
        """Show it until it is left or suspended; return the signal that said so."""
        from rich.console import Console
        from rich.live import Live

        from memfis.commands.top_view import view

        # rich would take these for the size of the terminal, whatever it becomes.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
        console = Console()
        with keyboard() as keys, Live(screen=True, auto_refresh=False, console=console) as live:
            while not self._done:
                live.update(view(self._look, self._interval, console.size), refresh=True)
                typed, signals = self._events.wait(keys)
                if any(key in LEAVING for key in typed):
                    return None
                for each in signals:
                    if each != signal.SIGWINCH:
                        return each
        return None
