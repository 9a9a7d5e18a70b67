"""A directory that is wiped and built anew under an agent: visitors see nothing of it."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from signal import SIGCONT, SIGSTOP
from threading import Event, Thread

import pytest

from memfis.sync.limits import SMALL
from support.agent import Agent
from support.http import Connection
from support.nginx import Site, Web
from support.process import wait_for

PAGES = 1000
WIPED = 400
ASKED = range(0, WIPED, 7)


def fill(site: Site, word: str, numbers: range = range(PAGES)) -> None:
    for number in numbers:
        directory = "built" if number < WIPED else "others"
        site.write(f"{directory}/{number}.html", f"{word} {number}".encode())


@pytest.fixture
def site(web: Web) -> Site:
    site = web.site()
    fill(site, "old")
    web.start()
    return site


@pytest.fixture
def agent(web: Web, site: Site) -> Iterator[Agent]:
    agent = Agent(
        web.directory,
        {"store": f"memcached://{web.store.socket}", "delete_grace": 15},
        [{"name": site.name, "root": os.fspath(site.root), "origin": os.fspath(site.origin)}],
    )
    agent.start()
    yield agent
    agent.end()


class Visitor:
    """Asks for the pages that are built, one after the other, until it is told to stop."""

    def __init__(self, site: Site) -> None:
        self.answers: list[tuple[int, str | None, int, bytes]] = []
        self._round: list[tuple[str | None, bytes]] = []
        self._site = site
        self._stop = Event()
        self._thread = Thread(target=self._visit)
        self._thread.start()

    def _visit(self) -> None:
        while not self._stop.is_set():
            seen = []
            with Connection(self._site.public) as connection:
                for number in ASKED:
                    answer = connection.ask(f"/built/{number}.html", host=self._site.name)
                    self.answers.append((answer.status, answer.source, number, answer.body))
                    seen.append((answer.source, answer.body))
            self._round = seen

    def sees_all_anew(self) -> bool:
        """Tell whether all pages of the last whole round were new ones from memory."""
        return self._round == [("HIT", b"new %d" % number) for number in ASKED]

    def leave(self) -> None:
        self._stop.set()
        self._thread.join()


def at_once(site: Site, agent: Agent) -> None:
    """Wipe the directory, and be a while about building what is to come in its place."""
    agent.tell(SIGSTOP)  # so that it sees the whole at once, as on a machine that is not busy
    shutil.rmtree(site.root / "built")
    agent.tell(SIGCONT)
    time.sleep(1)  # what a generator needs
    fill(site, "new", range(WIPED))


def over_a_second(site: Site, agent: Agent) -> None:
    """Empty the directory, and fill it page by page."""
    agent.tell(SIGSTOP)
    for path in (site.root / "built").iterdir():
        path.unlink()
    agent.tell(SIGCONT)
    for number in range(WIPED):
        fill(site, "new", range(number, number + 1))
        time.sleep(0.003)


def by_moving(site: Site, agent: Agent) -> None:
    """Move the directory away, and build another in its place."""
    (site.root / "built").rename(site.root.parent / "old")
    time.sleep(1)
    fill(site, "new", range(WIPED))


def within_a_burst(site: Site, agent: Agent) -> None:
    """Have another directory in its place before the agent has seen that it is gone."""
    agent.tell(SIGSTOP)
    (site.root / "built").rename(site.root.parent / "old")
    fill(site, "new", range(WIPED))
    agent.tell(SIGCONT)


def slowly(site: Site, agent: Agent) -> None:
    """Remove file by file what is to be built anew then."""
    for number in range(WIPED):
        (site.root / "built" / f"{number}.html").unlink()
        time.sleep(0.003)
    fill(site, "new", range(WIPED))


@pytest.mark.parametrize(
    ("rebuild", "missed"),
    [(at_once, 0), (over_a_second, 0), (by_moving, 0), (within_a_burst, 0), (slowly, SMALL)],
)
def test_visitors_get_no_404(
    site: Site, agent: Agent, rebuild: Callable[[Site, Agent], None], missed: int
) -> None:
    """But for the first few pages of what is removed slowly, which may be all there is to it."""
    visitor = Visitor(site)
    try:
        rebuild(site, agent)
        wait_for(visitor.sees_all_anew, "a whole round of new pages from memory")
    finally:
        visitor.leave()
    # What is open and not yet written is empty on the disk, to any server.
    found = [
        (status, source, number, body)
        for status, source, number, body in visitor.answers
        if status == 200 and (body or source == "HIT")
    ]
    assert {status for status, *_ in visitor.answers} <= {200, 404}
    assert {number for status, _, number, _ in visitor.answers if status == 404} <= set(
        range(missed)
    )
    assert {body for _, _, number, body in found} <= {
        b"%s %d" % (word, number) for word in (b"old", b"new") for number in range(WIPED)
    }
