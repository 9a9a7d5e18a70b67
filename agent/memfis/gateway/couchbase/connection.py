"""The connection to the bucket, made in the background, and the threads that use it."""

import asyncio
import functools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from couchbase.auth import PasswordAuthenticator
from couchbase.cluster import Cluster
from couchbase.exceptions import CouchbaseException
from couchbase.options import ClusterOptions, ClusterTimeoutOptions

from memfis.gateway.backend import BackendError, UnavailableError
from memfis.gateway.couchbase.results import translated, translating
from memfis.settings.values import GatewaySettings

T = TypeVar("T")

THREADS = 16
"""Calls underway at once: four batches of each kind, and single ones."""

BOOTSTRAP = timedelta(seconds=5)
"""Until an attempt to connect is given up; another follows."""

AGAIN = 1.0
"""Seconds between two attempts to connect."""

log = logging.getLogger("memfis.gateway")


class BucketConnection:
    """The default collection of one bucket, as soon as there is a connection to it."""

    def __init__(self, settings: GatewaySettings, password: str) -> None:
        """Take what is needed to connect; `start` begins to."""
        self._settings = settings
        self._password = password
        self._cluster: Any = None
        self._collection: Any = None
        self._why: BackendError = UnavailableError("not connected yet")
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, "couchbase")
        self._connecting = threading.Thread(target=self._connect, name="connect")

    def start(self) -> None:
        """Begin to connect, in the background: nobody waits for a cluster that is away."""
        self._connecting.start()

    def close(self) -> None:
        """Disconnect.

        An attempt to connect is waited for: a process that ends in the middle of one is aborted by
        the SDK, whatever its exit code was to be.
        """
        self._closed.set()
        self._connecting.join()
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._cluster is not None:
            self._cluster.close()

    def _connect(self) -> None:
        """Connect, however long it takes; afterwards the SDK reconnects by itself."""
        settings = self._settings
        tls = {"trust_store_path": settings.certificate} if settings.certificate else {}
        options = ClusterOptions(
            PasswordAuthenticator(settings.user, self._password),
            timeout_options=ClusterTimeoutOptions(
                bootstrap_timeout=BOOTSTRAP, connect_timeout=BOOTSTRAP
            ),
            enable_metrics=False,
            enable_tracing=False,
            **tls,
        )
        said = ""
        while not self._closed.is_set():
            try:
                cluster = Cluster(settings.connection, options)
                self._collection = cluster.bucket(settings.bucket).default_collection()
                self._cluster = cluster
            except CouchbaseException as error:
                self._why = translated(error)
                if str(self._why) != said and not self._closed.is_set():
                    said = str(self._why)
                    log.warning("no connection to %s: %s", settings.connection, said)
                self._closed.wait(AGAIN)
            else:
                log.info("connected to bucket %s of %s", settings.bucket, settings.connection)
                return

    async def call(self, call: Callable[[Any], T]) -> T:
        """Return what `call` returns for the collection, from a thread; raises what Backend says.

        UnavailableError, or why it is so, while there is no connection.
        """
        job = functools.partial(translating, call, self._usable())
        return await asyncio.get_running_loop().run_in_executor(self._threads, job)

    def begin(self, job: Callable[[Any], None]) -> None:
        """Begin `job` with the collection, in a thread; nobody waits for it."""
        self._threads.submit(job, self._usable())

    async def flush(self) -> None:
        """Remove everything in the bucket."""
        await self.call(lambda _: self._cluster.buckets().flush_bucket(self._settings.bucket))

    def _usable(self) -> Any:
        if self._collection is None:
            raise self._why
        return self._collection
