"""How long CI took: the table at its end, and the limit that is noticed before CI's own."""

from collections.abc import Mapping

LIMIT = 70 * 60
"""Seconds that all of CI may take. It is stopped after 90 minutes, and by then it is too late to
think about what takes so long."""


def clock(seconds: float) -> str:
    """Return `seconds` as minutes and seconds: 75:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def table(durations: Mapping[str, float], total: float) -> list[str]:
    """Return a line for each session with its duration in seconds, longest first, then for `total`.

    The total is less than their sum: sessions run beside each other.
    """
    rows = sorted(durations.items(), key=lambda row: row[1], reverse=True)
    rows.append(("all, with set-up", total))
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {clock(seconds):>6}" for name, seconds in rows]


def too_long(total: float, limit: float = LIMIT) -> str | None:
    """Return what is wrong when CI took `total` seconds; None when it is within `limit`."""
    if total <= limit:
        return None
    return (
        f"CI took {clock(total)}, more than {clock(limit)} (minutes:seconds). Make the longest"
        " sessions shorter; LIMIT is in .ci/durations.py"
    )
