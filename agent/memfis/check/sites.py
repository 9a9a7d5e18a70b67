"""Ask a site as visitors do, everywhere it listens, and gather what is not as it should be."""

import http.client
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from memfis.check.asking import Answer, ask, has_ipv6, said
from memfis.check.configuration import Configuration, Listen
from memfis.check.expectation import Stored, Target, stored
from memfis.check.judgement import Judge
from memfis.check.trouble import causes, held, no_store, not_listening, other_user
from memfis.control.client import ask_status
from memfis.control.messages import Keeping
from memfis.errors import StoreError
from memfis.nginx.switch import told_off
from memfis.settings.values import Site
from memfis.store import Store

TRIES = 8
PAUSE = 0.4
"""Seconds between two tries: a file may have changed between two answers, and nginx leaves a store
that did not answer in time out for a second."""

_NOBODY = "memfis-check.invalid"
"""A host that nobody has (RFC 2606)."""


class Answered(NamedTuple):
    """One URL, where it was asked, and what came; 0: nothing."""

    url: str
    at: str
    status: int = 0
    served_by: str = ""


@dataclass
class Checked:
    """What came of asking a site."""

    site: str
    from_memory: str = "off"
    """What takes its pages from memory."""
    pages: int = 0
    answers: list[Answered] = field(default_factory=list)
    why: str = ""
    """Why the first page is not from memory, where that is as it should be."""
    problems: list[str] = field(default_factory=list)
    """What is not as it should be, a line each."""

    @property
    def first(self) -> Answered | None:
        """What is shown of a site: its first page, over TLS where there is TLS."""
        found = [each for each in self.answers if each.url.startswith("https:")] or self.answers
        return found[0] if found else None

    def as_json(self) -> dict[str, Any]:
        """Return it as a document."""
        first = self.first
        return {
            "site": self.site,
            "url": first.url if first else None,
            "status": first.status if first else None,
            "served_by": first.served_by if first else None,
            "why": self.why,
            "from_memory": self.from_memory,
            "pages": self.pages,
            "answers": [each._asdict() for each in self.answers],
            "problems": self.problems,
        }


def check_site(site: Site, configuration: Configuration, runtime: Path) -> Checked:
    """Ask `site` as its visitors do. `runtime`: the directory in which the agent is asked."""
    checked = Checked(site.name, site.from_memory)
    problems = checked.problems
    file = configuration.file_of(site.name)
    if file is None:
        included = ", ".join(configuration.includes()) or "nothing"
        problems.append(
            f"nginx does not read the site's file: {configuration.main} includes {included}; add"
            " 'include /etc/nginx/sites-enabled/*;' to its http block"
        )
        return checked
    if user := other_user(site, configuration):
        problems.append(user)
    has = _stored(site, problems)
    checked.pages = has.pages
    checked.why = told_off(site.name)
    keeping = _keeping(runtime, site)
    _Asker(site, configuration, file, keeping, checked).ask_all(has)
    if checked.first is None and not problems:
        checked.why = "not asked: none of its names is a plain one"
    checked.problems = list(dict.fromkeys(problems))
    return checked


def _stored(site: Site, problems: list[str]) -> Stored:
    if not site.in_memory:
        return Stored(0, True, [Target("/", None, "from_memory: off")])
    store = Store.of(site)
    try:
        return stored(site, store)
    except StoreError as error:
        problems.append(f"the store does not answer: {no_store(site, error)}")
        return Stored(0, False, [Target("/", None)])
    finally:
        store.close()


def _keeping(runtime: Path, site: Site) -> Keeping | None:
    try:
        return ask_status(runtime, site.name)
    except PermissionError:
        return None


class _Asker:
    """Asks one site; what comes of it goes into `checked`."""

    def __init__(
        self,
        site: Site,
        configuration: Configuration,
        file: str,
        keeping: Keeping | None,
        checked: Checked,
    ) -> None:
        self._site, self._configuration, self._file = site, configuration, file
        self._keeping, self._checked = keeping, checked
        self._judge = Judge(site, configuration.files[file])

    def ask_all(self, has: Stored) -> None:
        """Ask for all that there is to ask for."""
        for listen, place, name in self._places():
            winner = self._configuration.answering(place, name)
            if winner is None or winner.file != self._file:
                other = winner.file if winner else "no file"
                self._checked.problems.append(
                    f"{_scheme(listen)}://{name}/ at {place} is answered by {other}, not by"
                    f" {self._file}: nginx takes the first server of a name; take it out there"
                )
                continue
            for target in has.targets:
                if problem := self._try(listen, place, name, target, has):
                    self._checked.problems.append(problem)

    def _places(self) -> Iterator[tuple[Listen, str, str]]:
        """Yield each listener, an address of it, and a name to ask for there, without a port."""
        origin = f"unix:{self._site.origin}"
        for server in self._configuration.servers:
            if server.file != self._file:
                continue
            for listen in server.listens:
                if listen.address == origin or not listen.can_be_asked:
                    continue
                place = self._configuration.place(listen)
                if place.startswith("[::1]:") and not has_ipv6():
                    continue
                names = list(dict.fromkeys(filter(None, map(_asked_as, server.names))))
                if not names:
                    winner = self._configuration.answering(place, _NOBODY)
                    names = [_NOBODY] if winner and winner.file == self._file else []
                for name in names:
                    yield listen, place, name

    def _try(
        self, listen: Listen, place: str, name: str, target: Target, has: Stored
    ) -> str | None:
        """Return what is wrong with an answer, and why; None: nothing."""
        port = "" if place.startswith("unix:") else place.rpartition(":")[2]
        usual = port in ("", "443" if listen.tls else "80")
        host = name if usual else f"{name}:{port}"
        url = f"{_scheme(listen)}://{host}{target.path}"
        for tries in range(2 if self._checked.problems else TRIES):
            if tries:
                time.sleep(PAUSE)
            try:
                answer = ask(place, host, target.path, self._judge.header, listen)
            except (OSError, http.client.HTTPException) as error:
                return self._silent(place, error)
            wrong, served_by = self._judge.compared(url, host, target, answer)
            if wrong is None:
                break
        self._checked.answers.append(Answered(url, place, answer.status, served_by))
        if wrong is not None:
            # Said once: it is the same everywhere.
            told = bool(self._checked.problems)
            why = "" if told else causes(self._site, self._configuration, self._keeping)
            return f"{url} at {place}: {wrong}{f': {why}' if why else ''}"
        return self._absent(url, target, answer, has)

    def _silent(self, place: str, error: Exception) -> str:
        if isinstance(error, ConnectionRefusedError | FileNotFoundError):
            return f"nothing listens at {place}{not_listening()}"
        return f"{place} does not answer: {said(error)}"

    def _absent(self, url: str, target: Target, answer: Answer, has: Stored) -> str | None:
        """Return what is wrong if a right page is not in memory; note why, if nothing is."""
        if (
            answer.status != 200
            or target.content is not None
            or self._judge.is_redirect(url, answer)
        ):
            return None
        busy = not has.is_synced or (self._keeping and self._keeping.pending_directories)
        # Where no agent runs, another host fills the store, or nobody has begun to.
        if target.is_due and not busy and self._keeping:
            why = causes(self._site, self._configuration, self._keeping) or target.why
            return f"{url}: not in memory: {why}"
        self._checked.why = (
            ("the agent is still at work" if target.is_due and busy else "")
            or held(self._keeping)
            or target.why
        )
        return None


def _asked_as(name: str) -> str | None:
    """Return a host that a name as nginx's `server_name` has it fits; None: it cannot be told."""
    if name.startswith("~"):
        return None
    if name.startswith("*."):
        return f"memfis-check{name[1:]}"
    return f"{name[:-1]}test" if name.endswith(".*") else name.removeprefix(".") or None


def _scheme(listen: Listen) -> str:
    return "https" if listen.tls else "http"
