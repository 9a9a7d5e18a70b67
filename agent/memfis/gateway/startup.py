"""Start a gateway in this process, until a signal says to stop."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from memfis.errors import UsageError
from memfis.gateway import listeners
from memfis.gateway.backend import Backend
from memfis.gateway.gateway import Gateway
from memfis.service.garbage import collect_rarely
from memfis.service.sockets import passed_sockets
from memfis.settings.values import GatewaySettings

SWITCH = 0.001
"""Seconds after which a thread of the SDK may run although the event loop is busy.

With CPython's 5 ms, 99 % of cold pages came within 72 ms while 200 clients read pages of 1 MB; with
these within 44 ms (bench/gateway_fairness.py).
"""

log = logging.getLogger("memfis.gateway")


def run(settings: GatewaySettings) -> None:
    """Serve Couchbase as `settings` say; raises UsageError."""
    try:
        from memfis.gateway.couchbase.backend import connected
    except ImportError as error:
        raise UsageError(
            f"Couchbase's SDK is missing ({error}): pip install 'memfis[couchbase]'"
        ) from error
    with connected(settings) as backend:
        run_with(backend, settings)


def run_with(backend: Backend, settings: GatewaySettings) -> None:
    """Serve `backend` as `settings` say, until SIGINT or SIGTERM; raises UsageError."""
    _run(_serve(backend, settings))


async def _serve(backend: Backend, settings: GatewaySettings) -> None:
    collect_rarely()
    sys.setswitchinterval(SWITCH)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gateway = Gateway(backend, settings)
    passed = passed_sockets()
    if passed:
        await gateway.serve(stop, *listeners.apart(passed, settings.metrics))
        return
    own = listeners.open_sockets(settings.listen)
    try:
        await gateway.serve(stop, own)
    finally:
        listeners.remove(settings.listen)


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        log.warning("uvloop is missing: pages will come at half the speed")
        asyncio.run(main)
    else:
        uvloop.run(main)
