"""Answers as they are sent: a value that is large is not copied for each who reads it."""

from typing import NamedTuple

from memfis.gateway.budget import LARGE


class LargeAnswer(NamedTuple):
    """A large value and what stands around it."""

    head: bytes
    value: bytes
    tail: bytes


Answer = bytes | LargeAnswer


def with_value(head: bytes, value: bytes, tail: bytes) -> Answer:
    """Return the answer that these three are."""
    if len(value) > LARGE:
        return LargeAnswer(head, value, tail)
    return b"".join((head, value, tail))


def size(answer: Answer) -> int:
    """Return how many bytes an answer has."""
    return len(answer) if isinstance(answer, bytes) else sum(map(len, answer))
