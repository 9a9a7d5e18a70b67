"""Bytes on their way to clients: counted once, shared fairly, sent whole, all given back."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from memfis.gateway import parser as parsing
from memfis.gateway.answers import Answer, with_value
from memfis.gateway.backend import Document, Write
from memfis.gateway.budget import LARGE, Budget
from memfis.gateway.commands import Command, Failure
from memfis.gateway.figures import Figures
from memfis.gateway.items import Items
from memfis.gateway.loans import SHARE, BusyError, Loan, Loans
from memfis.gateway.parser import Parser
from memfis.gateway.sending import Sender
from memfis.gateway.turns import ROUND, Turns
from memfis.settings.values import GatewaySettings
from support.memory_backend import MemoryBackend

MIB = 1024 * 1024


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_bytes_are_given_to_those_who_wait_in_their_order() -> None:
    async def main() -> None:
        budget = Budget(100)
        assert budget.try_take(80)
        first = asyncio.ensure_future(budget.take(90, 10))
        await asyncio.sleep(0)
        assert budget.short
        assert not budget.try_take(10)  # somebody was first
        second = asyncio.ensure_future(budget.take(10, 10))
        await asyncio.sleep(0)
        budget.give(80)
        assert (await first, await second) == (True, True)
        assert budget.free == 0
        assert not budget.short

    run(main)


def test_who_waited_for_long_enough_is_refused_and_those_behind_go_on() -> None:
    async def main() -> None:
        budget = Budget(100)
        budget.force(50)
        first = asyncio.ensure_future(budget.take(60, 0.02))
        second = asyncio.ensure_future(budget.take(40, 10))
        assert (await first, await second) == (False, True)
        assert budget.used == 90

    run(main)


def test_what_is_large_leaves_a_quarter_to_what_is_small() -> None:
    async def main() -> None:
        budget = Budget(8 * MIB)
        taken = 0
        while budget.try_take(MIB):
            taken += 1
        assert taken == 6
        waiting = asyncio.ensure_future(budget.take(MIB, 10))
        await asyncio.sleep(0)
        assert budget.try_take(LARGE)  # and does not wait behind it
        assert await budget.take(LARGE, 10)
        budget.give(MIB + 2 * LARGE)
        assert await waiting

    run(main)


async def lent(loans: Loans, sizes: dict[bytes, int]) -> Loan:
    """Return a loan that was had at once; raises BusyError."""
    large = {key: size for key, size in sizes.items() if size > LARGE}
    loan = loans.loan(sum(sizes.values()) - sum(large.values()), large)
    await loan.take(0)
    return loan


def test_a_value_that_many_wait_for_is_counted_once() -> None:
    async def main() -> None:
        loans = Loans(8 * MIB)
        held = [await lent(loans, {b"k": 5 * MIB}) for _ in range(50)]
        assert loans.budget.used == 5 * MIB
        document = Document(bytes(5 * MIB), 0, 1)
        for loan in held:
            loan.came([(b"k", document)])
        assert loans.budget.used == 5 * MIB
        again = Document(bytes(5 * MIB), 0, 1)
        assert loans.like(b"k", again) is document  # the same version, asked for once more
        changed = Document(bytes(5 * MIB), 0, 2)
        assert loans.like(b"k", changed) is changed
        with await lent(loans, {b"k": 5 * MIB}) as late:
            for loan in held:
                loan.give_back()
            assert loans.budget.used == 5 * MIB  # it is kept for who was promised it
            late.came([(b"k", document)])
            with pytest.raises(BusyError):
                await lent(loans, {b"other": 5 * MIB})
        assert loans.budget.used == 0

    run(main)


def test_a_share_is_less_where_less_is_free() -> None:
    loans = Loans(64 * MIB)
    assert loans.share == SHARE
    loans.budget.force(48 * MIB)
    assert loans.share == 2 * MIB
    loans.budget.force(16 * MIB)
    assert loans.share == LARGE


sizes = st.dictionaries(
    st.sampled_from([b"a", b"b", b"c", b"d"]),
    st.sampled_from([100, LARGE, LARGE + 1, MIB, 5 * MIB]),
    min_size=1,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["lend", "came", "back"]), sizes, st.integers(0, 9))))
def test_whatever_happens_all_is_given_back(steps: list[tuple[str, dict[bytes, int], int]]) -> None:
    values = {size: bytes(size) for size in (100, LARGE, LARGE + 1, MIB, 5 * MIB)}

    async def main() -> None:
        loans = Loans(16 * MIB)
        held: list[Loan] = []
        for what, wanted, number in steps:
            if what == "lend":
                try:
                    held.append(await lent(loans, wanted))
                except BusyError:
                    assert sum(wanted.values()) + loans.budget.used > 12 * MIB
            elif held and what == "came":
                found = [(key, Document(values[size], 0, number)) for key, size in wanted.items()]
                held[number % len(held)].came(found)
            elif held:
                held.pop(number % len(held)).give_back()
        for loan in held:
            loan.give_back()
            loan.give_back()
        assert loans.budget.used == 0
        assert not any(map(loans.lent, (b"a", b"b", b"c", b"d")))

    run(main)


def test_the_same_version_of_a_large_value_is_kept_once() -> None:
    async def main() -> None:
        backend = MemoryBackend()
        backend.copies = True
        given: dict[str, Any] = {"connection": "couchbase://x", "user": "u", "password_file": "/p"}
        items = Items.over(backend, GatewaySettings(**given, hot_bytes=0), Figures())
        backend.put(Write(b"k", bytes(MIB), 0, 0))
        with await lent(items.loans, {b"k": MIB}) as loan:
            first = await items.reads.ask(b"k")
            assert first is not None
            loan.came([(b"k", first)])
            assert await items.reads.ask(b"k") is first
            backend.put(Write(b"k", bytes(MIB), 0, 0))
            assert await items.reads.ask(b"k") is not first

    run(main)


def test_turns_are_given_out_in_order_and_few_at_a_time() -> None:
    async def main() -> None:
        turns = Turns()
        done: list[int] = []

        async def go(number: int) -> None:
            await turns.next()
            done.append(number)

        tasks = [asyncio.create_task(go(number)) for number in range(10 * ROUND)]
        most = 0
        while len(done) < len(tasks):
            before = len(done)
            await asyncio.sleep(0)
            most = max(most, len(done) - before)
        assert done == list(range(10 * ROUND))
        assert most <= 2 * ROUND

    run(main)


class Pipe(asyncio.Protocol):
    """The gateway's end of a connection."""

    sender: Sender

    def pause_writing(self) -> None:
        self.sender.pause()

    def resume_writing(self) -> None:
        self.sender.resume()


answers = st.lists(
    st.builds(
        with_value,
        st.binary(max_size=20),
        st.builds(
            lambda seed, size: (seed * (size // len(seed) + 1))[:size],
            st.binary(min_size=1, max_size=7),
            st.one_of(st.integers(0, 3000), st.integers(LARGE - 2, LARGE + 2), st.just(1_300_000)),
        ),
        st.sampled_from([b"\r\n", b"\r\nEND\r\n"]),
    ),
    max_size=6,
)


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop])
@settings(max_examples=25, deadline=None)
@given(answers=answers, reads=st.lists(st.sampled_from([1, 1000, 70_000, 1 << 20]), min_size=1))
def test_answers_in_pieces_are_the_answers(
    loop: Callable[[], asyncio.AbstractEventLoop],
    answers: list[Answer],
    reads: list[int],
) -> None:
    whole = b"".join(each if isinstance(each, bytes) else b"".join(each) for each in answers)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        here = asyncio.get_running_loop()
        transport, pipe = await here.create_unix_connection(Pipe, sock=ours)
        figures = Figures()
        pipe.sender = Sender(transport, Turns(), figures, here.time)

        async def send() -> None:
            for answer in answers:
                await pipe.sender.add(answer)
            await pipe.sender.flush()
            transport.close()

        sending = asyncio.create_task(send())
        came = bytearray()
        number = 0
        while data := await here.sock_recv(
            theirs, reads[number % len(reads)] if number < 50 else MIB
        ):
            came += data
            number += 1
        await sending
        theirs.close()
        assert bytes(came) == whole
        assert figures.bytes_written == len(whole)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


bodies = st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=1, max_size=6)


@given(bodies, st.lists(st.integers(1, 40), min_size=1))
def test_values_are_the_same_however_they_come(
    values: list[tuple[int, bool]], cuts: list[int]
) -> None:
    """A value over LARGE is put together elsewhere, and one may be refused in the middle."""
    sent = b"".join(
        b"set k%d 0 0 %d\r\n%b\r\n" % (n, size, b"v" * size) for n, (size, _) in enumerate(values)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "LARGE", 20)
        parser = Parser(MIB, dict.fromkeys(("get", "set", "touch", "flush", "meta"), 0))
        commands: list[Command] = []
        refused = set()
        at = number = 0
        while at < len(sent):
            cut = cuts[number % len(cuts)]
            parser.feed(memoryview(sent)[at : at + cut])
            at, number = at + cut, number + 1
            while group := parser.group():
                commands += group
            if parser.wanted and values[len(commands)][1] and len(commands) not in refused:
                refused.add(len(commands))
                parser.refuse(b"SERVER_ERROR\r\n")
                while group := parser.group():
                    commands += group
    assert parser.untouched
    assert len(parser) == 0
    assert len(commands) == len(values)
    for number, (command, (size, _)) in enumerate(zip(commands, values, strict=True)):
        if number in refused:
            assert isinstance(command, Failure)
            assert command.text == b"SERVER_ERROR\r\n"
        else:
            assert command.value == b"v" * size
