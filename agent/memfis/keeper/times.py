"""Times of the event loop's clock, in seconds: what a site's schedule is made of."""

import asyncio

NEVER = float("inf")

RETRY = 2.0
"""Seconds before what failed is tried again."""


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()
