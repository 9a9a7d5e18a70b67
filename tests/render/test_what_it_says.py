"""Whatever an application says, in whichever order: memory keeps what it may, and no longer.

The application answers with random headers, statuses and bodies. What memory may make of them is
said by a model that reads no header: every word it can say is in a table here, with what it means.
`MEMFIS_SEQUENCES`: how many sequences of answers (60).
"""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from email.utils import formatdate
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from memfis.control.client import ask_purge, ask_status
from memfis.render.figures import RenderingStatus
from render.conftest import Rendered
from support.origin import Origin, Reply
from support.process import wait_for

AT_ONCE = 6
"""Sequences in one example, about."""

EXAMPLES = -(-int(os.environ.get("MEMFIS_SEQUENCES", "60")) // AT_ONCE)

NOT_WHOLE = ("an empty page", "a page that does not end with </html>")

DEFAULT = 300
"""The site's `lifetime`."""

SURE = 20
"""What may live so many seconds is there when it is looked for."""


class Word(NamedTuple):
    """One directive, and what it means to a shared cache."""

    text: str
    means: str = "nothing"
    """`out`: the answer must not be kept; `unreadable`; or the name of a lifetime."""
    seconds: int = 0


NO_STORE, NO_CACHE, PRIVATE = (Word(text, "out") for text in ("no-store", "no-cache", "private"))

CACHE_CONTROL = [
    *(NO_STORE, NO_CACHE, PRIVATE, Word("No-Store", "out"), Word('private="a, b"', "out")),
    *(Word('no-cache="x"', "out"), Word("no-cache=x", "out")),
    *(Word("max-age=60", "max-age", 60), Word('MAX-AGE="90"', "max-age", 90)),
    *(Word("max-age=1", "max-age", 1), Word("max-age=0", "max-age"), Word("max-age", "max-age")),
    *(Word("max-age=-5", "max-age"), Word("max-age=99999999999", "max-age", 10**9)),
    *(Word("max-age=0000000000000", "max-age"), Word("max-age=6 0", "max-age")),
    *(Word("s-maxage=45", "s-maxage", 45), Word("S-MaxAge=0", "s-maxage")),
    *(Word("s-maxage=600", "s-maxage", 600), Word("s-maxage=x", "s-maxage")),
    *(Word("public"), Word("must-revalidate"), Word("immutable"), Word("no-transform")),
    *(Word("stale-if-error=9"), Word("private-ish"), Word('x="no-store, max-age=0"'), Word("")),
    *(Word('x="y', "unreadable"), Word("@", "unreadable"), Word('max-age=1"2"', "unreadable")),
]

CDN_CACHE_CONTROL = [
    *(NO_STORE, NO_CACHE, PRIVATE, Word('no-cache="x"', "out"), Word("no-store;x", "out")),
    *(Word("max-age=60", "max-age", 60), Word("max-age=90;x=1", "max-age", 90)),
    *(Word("max-age=0", "max-age"), Word('max-age="60"', "max-age"), Word("max-age", "max-age")),
    *(Word("max-age=60.0", "max-age"), Word("max-age=-5", "max-age")),
    *(Word("s-maxage=45", "s-maxage", 45), Word("s-maxage=0", "s-maxage")),
    *(Word("public"), Word("must-revalidate"), Word("x=(1 2)"), Word('x="no-store, private"')),
    *(Word("Max-Age=60", "unreadable"), Word('x="y', "unreadable"), Word("a b", "unreadable")),
]

SURROGATE_CONTROL = [
    *(NO_STORE, Word("no-store-remote", "out"), Word("No-Store", "out")),
    *(Word("max-age=60", "max-age", 60), Word("max-age=90+600", "max-age", 90)),
    *(Word("max-age=0", "max-age"), Word("max-age=0+600", "max-age"), Word("max-age=x", "max-age")),
    *(Word('content="ESI/1.0"'), Word("x=1"), Word("")),
    *(Word('x="y', "unreadable"), Word("no-store;other", "unreadable")),
]

Lines = Sequence[Sequence[Word]]
"""The lines of one field."""


@dataclass(frozen=True)
class Said:
    """One answer of the application."""

    status: int = 200
    body: str = "whole"
    accel: Sequence[str] = ()
    cdn: Lines = ()
    surrogate: Lines = ()
    control: Lines = ()
    expires: Sequence[int | str] = ()
    """Seconds from now, or what is no date."""
    age: int | str | None = None
    pragma: str | None = None
    vary: Sequence[str] = ()
    cookie: bool = False

    @property
    def fails(self) -> bool:
        """Whether it is a sign of trouble."""
        return self.status >= 500 or self.body.startswith("cut")

    def headers(self, now: float) -> list[tuple[str, str]]:
        """Return it as an application would."""

        def date(when: int | str) -> str:
            return when if isinstance(when, str) else formatdate(now + when, usegmt=True)

        lines: dict[str, Sequence[str]] = {
            "X-Accel-Expires": [ACCEL[each].text(now) for each in self.accel],
            "CDN-Cache-Control": [", ".join(word.text for word in line) for line in self.cdn],
            "Surrogate-Control": [",".join(word.text for word in each) for each in self.surrogate],
            "cache-control": [" ,".join(word.text for word in line) for line in self.control],
            "Expires": [date(each) for each in self.expires],
            "Age": [] if self.age is None else [str(self.age)],
            "Pragma": [] if self.pragma is None else [self.pragma],
            "Vary": self.vary,
            "Set-Cookie": ["a=b"] if self.cookie else [],
        }
        return [(name, value) for name, values in lines.items() for value in values]

    def reply(self, mark: str) -> Reply:
        """Return the answer, with `mark` in the page."""
        body = BODIES[self.body]
        return replace(body, body=body.body.replace(b"MARK", mark.encode()), status=self.status)


class Accel(NamedTuple):
    """A value of X-Accel-Expires."""

    text: Callable[[float], str]
    seconds: int | None
    """None: it cannot be read."""


ACCEL = {
    "0": Accel(lambda _: "0", 0),
    "1": Accel(lambda _: "1", 1),
    "60": Accel(lambda _: "60", 60),
    "10^30": Accel(lambda _: "1" + "0" * 30, 10**9),
    "in 50 s": Accel(lambda now: f"@{now + 50:.0f}", 50),
    "10 s ago": Accel(lambda now: f"@{now - 10:.0f}", -10),
    "off": Accel(lambda _: "off", None),
    "-1": Accel(lambda _: "-1", None),
    "nothing": Accel(lambda _: "", None),
}

BODIES = {
    "whole": Reply(b"<!DOCTYPE html>\n<html><p>MARK</p></html>\n<!-- 0.1 s -->"),
    "part": Reply(b"<p>MARK</p>"),
    "chunks": Reply(b"<html>MARK</HTML>", chunked=True),
    "empty": Reply(b""),
    "half": Reply(b"<!DOCTYPE html>\n<html><p>MARK</p>"),
    "cut": Reply(b"<html>MARK</html>", cut=True),
    "cut chunks": Reply(b"<html>MARK</html>", cut=True, chunked=True),
}


# -- the model ---------------------------------------------------------------------------------


def may_live(said: Said) -> int:
    """Return how many seconds memory may keep the answer at most; 0: not at all."""
    if said.status != 200 or said.cookie or said.body not in ("whole", "part", "chunks"):
        return 0
    if any(each not in ("", "Accept-Encoding") for each in said.vary):
        return 0
    if said.accel:  # nginx: caching time from now on, whatever other fields say
        seconds = [ACCEL[each].seconds for each in said.accel]
        return max(0, min(0 if each is None else each for each in seconds))
    age = said.age if isinstance(said.age, int) else 0
    if any(said.cdn):  # RFC 9213, section 2.2: Cache-Control and Expires are ignored
        return max(0, lifetime(said.cdn, DEFAULT) - age)
    surrogate = meanings(said.surrogate)
    if surrogate & {"unreadable", "out", "max-age"}:  # before Cache-Control, if it says something
        return max(0, lifetime(said.surrogate, 0) - age)
    if said.pragma == "no-cache" and not said.control:  # RFC 9111, section 5.4
        return 0
    expires = [each if isinstance(each, int) else 0 for each in said.expires]
    return max(0, lifetime(said.control, min(expires, default=DEFAULT)) - age)


def meanings(lines: Lines) -> set[str]:
    return {word.means for line in lines for word in line}


def lifetime(lines: Lines, otherwise: int) -> int:
    """Return the freshness lifetime by RFC 9111, section 4.2.1; `otherwise`: they name none."""
    said = meanings(lines)
    if said & {"unreadable", "out"}:
        return 0
    for name in ("s-maxage", "max-age"):
        if name in said:
            return min(word.seconds for line in lines for word in line if word.means == name)
    return otherwise


# -- what is said ------------------------------------------------------------------------------


T = TypeVar("T")


def now_and_then(strategy: st.SearchStrategy[T], usual: T, one_in: int) -> st.SearchStrategy[T]:
    return st.integers(1, one_in).flatmap(
        lambda number: strategy if number == one_in else st.just(usual)
    )


def lines_of(words: Sequence[Word]) -> st.SearchStrategy[Lines]:
    line = st.lists(st.sampled_from(words), min_size=1, max_size=3)
    return st.lists(line, min_size=1, max_size=2)


WORDS: Lines = ()
answers = st.builds(
    Said,
    status=now_and_then(st.sampled_from([*(203, 206, 301, 404, 410) * 2, 500, 503]), 200, 8),
    body=st.sampled_from(
        [*("whole", "part", "chunks") * 24, *("empty", "half") * 6, "cut", "cut chunks"]
    ),
    accel=now_and_then(st.lists(st.sampled_from(list(ACCEL)), min_size=1, max_size=2), [], 5),
    cdn=now_and_then(lines_of(CDN_CACHE_CONTROL), WORDS, 4),
    surrogate=now_and_then(lines_of(SURROGATE_CONTROL), WORDS, 4),
    control=now_and_then(lines_of(CACHE_CONTROL), WORDS, 2),
    expires=now_and_then(
        st.lists(st.sampled_from([-9, 0, 70, 900, "0", "soon"]), min_size=1, max_size=2), [], 3
    ),
    age=st.sampled_from([*[None] * 8, 0, 15, 15, 10**6, "young"]),
    pragma=st.sampled_from([*[None] * 8, "no-cache", "public"]),
    vary=now_and_then(
        st.lists(st.sampled_from(["Accept-Encoding", "", "Cookie", "*", "User-Agent"]), max_size=3),
        [],
        5,
    ),
    cookie=st.integers(1, 12).map(lambda number: number == 12),
)

Sequences = list[list[Said]]


# -- the test ----------------------------------------------------------------------------------


class Application:
    """The stand-in, the agent that asks it, and what became of its answers."""

    def __init__(self, rendered: Rendered, origin: Origin) -> None:
        self.rendered, self.origin = rendered, origin
        self._numbers = itertools.count(1)

    def status(self) -> RenderingStatus:
        keeping = ask_status(self.rendered.agent.runtime, self.rendered.NAME)
        assert keeping is not None
        assert keeping.rendering is not None
        return keeping.rendering

    def rendered_so_far(self) -> int:
        """Return how many answers were dealt with: what is not whole is counted in two places."""
        figures = self.status().figures
        of_bodies = [
            n
            for reason, n in figures.refusals.items()
            if reason.startswith("a page") or reason == "an empty page"
        ]
        return figures.renders + figures.failures + sum(figures.refusals.values()) - sum(of_bodies)

    def forget(self) -> None:
        ask_purge(self.rendered.agent.runtime, self.rendered.NAME, ["/**"], dry_run=False)

    def say(self, answers: dict[str, Said]) -> dict[str, str]:
        """Give these answers, by their URL, and have them all rendered; return their marks."""
        before = self.rendered_so_far()
        now = time.time()
        marks = {path: f"{path}-{next(self._numbers)}" for path in answers}
        for path, said in answers.items():
            reply = said.reply(marks[path])
            self.origin.pages[path] = replace(reply, headers=said.headers(now))
        for path in answers:
            self.rendered.hint(path)
        done = before + len(answers)
        wait_for(lambda: self.rendered_so_far() >= done, f"{list(answers.values())}", 120)
        assert self.rendered_so_far() == done
        return marks

    def be_well(self) -> None:
        """Answer, so that the origin is in trouble no more."""
        while self.status().trouble:
            self.say({f"/well/{next(self._numbers)}": Said()})


def wrong(application: Application, step: dict[str, Said]) -> dict[str, str]:
    """Return what memory made of the answers that it may not have, by URL.

    Failures come last: in trouble old pages are prolonged, and those that were read rendered again.
    """
    found = {}
    for fails in (False, True):
        application.forget()
        answers = {path: said for path, said in step.items() if said.fails is fails}
        marks = application.say(answers)
        for path, said in answers.items():
            told = misjudged(application.rendered, path, said, marks[path])
            if told:
                found[path] = f"{told}: {said}"
    application.be_well()
    return found


def misjudged(rendered: Rendered, path: str, said: Said, mark: str) -> str:
    """Return what is wrong with the page, if anything."""
    ttl, longest = rendered.ttl(path), may_live(said)
    if ttl is None:
        return f"it is not kept, and may be for {longest} s" if longest >= SURE else ""
    if not 0 <= ttl <= longest:
        return f"it is kept for {ttl} s, and may be for {longest} s"
    content = rendered.content(path) if longest >= SURE else None
    return f"it is {content!r}" if content is not None and mark.encode() not in content else ""


def shortest(application: Application, sequence: list[Said]) -> str:
    """Return the sequence without what it does not need to be wrong, and what is wrong then.

    Hypothesis would take minutes, since an application that fails is asked less and less often.
    """

    def trial(sequence: list[Said]) -> str:
        for said in sequence:
            found = wrong(application, {"/": said})
            if found:
                return found["/"]
        return ""

    told = trial(sequence)
    if not told:
        return f"not again with the sequence alone: {sequence}"
    for number in reversed(range(len(sequence))):
        rest = sequence[:number] + sequence[number + 1 :]
        if rest and (less := trial(rest)):
            sequence, told = rest, less
    usual: Any = Said()
    for number in range(len(sequence)):
        for each in fields(usual):
            simpler = replace(sequence[number], **{each.name: getattr(usual, each.name)})
            rest = [*sequence[:number], simpler, *sequence[number + 1 :]]
            if simpler != sequence[number] and (less := trial(rest)):
                sequence, told = rest, less
    return f"{told}\nthe sequence: {sequence}"


def test_memory_keeps_what_it_may_and_no_longer(rendered: Rendered, origin: Origin) -> None:
    rendered.start()
    application = Application(rendered, origin)
    failed: list[tuple[str, list[Said]]] = []

    @settings(
        max_examples=EXAMPLES,
        phases=(Phase.generate,),
        deadline=None,
        database=None,
        derandomize="CI" in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.lists(answers, min_size=1, max_size=6), min_size=1, max_size=2 * AT_ONCE))
    def check(sequences: Sequences) -> None:
        """Let each sequence be one URL's; the first answers are given together, and so on."""
        for number, step in enumerate(itertools.zip_longest(*sequences)):
            if failed:
                return
            said = {f"/{n}/": each for n, each in enumerate(step) if each is not None}
            for path, told in wrong(application, said).items():
                failed.append((told, sequences[int(path.strip("/"))][: number + 1]))

    check()
    if failed:
        told, sequence = failed[0]
        pytest.fail(f"{told}\n{shortest(application, sequence)}", pytrace=False)


def test_the_model_and_the_agent_agree_on_each_word(rendered: Rendered, origin: Origin) -> None:
    """Each word alone, so that none is left to chance."""
    rendered.start()
    each = [
        *(Said(control=[[word]]) for word in CACHE_CONTROL),
        *(Said(cdn=[[word]], control=[[NO_STORE]]) for word in CDN_CACHE_CONTROL),
        *(Said(surrogate=[[word]], control=[[PRIVATE]]) for word in SURROGATE_CONTROL),
        *(Said(accel=[name], control=[[NO_CACHE]], surrogate=[[NO_STORE]]) for name in ACCEL),
        *(Said(body=body) for body in BODIES if "cut" not in body),
    ]
    application = Application(rendered, origin)
    assert wrong(application, {f"/{n}/": said for n, said in enumerate(each)}) == {}
