"""Couchbase as the gateway's database, through its SDK: the only module that knows it.

The SDK's calls block, so they are made in threads, many keys in one call where there are many: that
costs a third of the CPU time of one call a key (docs/performance.md). Documents hold the bytes as
they came; the client flags are the document's own 32 bits of flags.
"""

import asyncio
import functools
import logging
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import couchbase.subdocument as subdocument
from couchbase.auth import PasswordAuthenticator
from couchbase.cluster import Cluster
from couchbase.exceptions import (
    AmbiguousTimeoutException,
    AuthenticationException,
    BucketNotFoundException,
    CasMismatchException,
    CouchbaseException,
    DocumentExistsException,
    DocumentNotFoundException,
    RequestCanceledException,
    ServiceUnavailableException,
    TemporaryFailException,
    TimeoutException,
    UnAmbiguousTimeoutException,
    UnsupportedOperation,
)
from couchbase.kv_range_scan import RangeScan
from couchbase.options import ClusterOptions, ClusterTimeoutOptions, ScanOptions
from couchbase.transcoder import Transcoder

from memfis.gateway.backend import (
    BackendError,
    Document,
    ForbiddenError,
    MismatchError,
    MissingError,
    RefusedError,
    TimedOutError,
    UnavailableError,
    Write,
)
from memfis.gateway.couchbase.documents import document_id, expiry_of, key_of, password_in
from memfis.settings.gateway import GatewaySettings

T = TypeVar("T")

THREADS = 16
"""Calls underway at once: four batches of each kind, and single ones."""

BOOTSTRAP = timedelta(seconds=5)
"""Until an attempt to connect is given up; another follows."""

AGAIN = 1.0
"""Seconds between two attempts to connect."""

_NO_ATTRIBUTE = "memfis"

_TIMEOUTS = (TimeoutException, AmbiguousTimeoutException, UnAmbiguousTimeoutException)
_AWAY = (RequestCanceledException, ServiceUnavailableException, TemporaryFailException)

log = logging.getLogger("memfis.gateway")


class _Plain(Transcoder):  # type: ignore[misc]
    """Bytes and flags as they are: the SDK's own would set flags that nginx takes for gzip."""

    def encode_value(self, value: tuple[bytes, int]) -> tuple[bytes, int]:
        return value

    def decode_value(self, value: bytes, flags: int) -> tuple[bytes, int]:
        return value, flags


class CouchbaseBackend:
    """The default collection of one bucket."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Begin to connect, in the background: nobody waits for a cluster that is away.

        Raises UsageError when the password cannot be read.
        """
        self.many_versions = True  # CouchbaseMock cannot, which is found out
        self._settings = settings
        self._password = password_in(settings.password_file)
        self._write = timedelta(seconds=settings.write_timeout)
        self._plain = _Plain()
        self._cluster: Any = None
        self._collection: Any = None
        self._why: BackendError = UnavailableError("not connected yet")
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, "couchbase")
        self._connecting = threading.Thread(target=self._connect, name="connect")
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
                self._why = _translated(error)
                if str(self._why) != said and not self._closed.is_set():
                    said = str(self._why)
                    log.warning("no connection to %s: %s", settings.connection, said)
                self._closed.wait(AGAIN)
            else:
                log.info("connected to bucket %s of %s", settings.bucket, settings.connection)
                return

    async def fetch(
        self, keys: Sequence[bytes], limit: float
    ) -> Sequence[Document | BackendError | None]:
        """See Backend.fetch."""
        timeout = timedelta(seconds=limit)
        names = [document_id(key) for key in keys]

        def get(collection: Any) -> list[Document | BackendError | None]:
            wanted = [name for name in names if name is not None]
            answers = _Answers(
                collection.get_multi(wanted, transcoder=self._plain, timeout=timeout)
            )
            found: list[Document | BackendError | None] = []
            for name in names:
                result = answers.results.get(name)
                if result is not None:
                    value, flags = result.value
                    found.append(Document(value, flags, result.cas))
                    continue
                error = answers.exceptions.get(name)
                absent = name is None or isinstance(error, DocumentNotFoundException)
                found.append(None if absent else _translated(error))
            return found

        return await self._call(get)

    async def store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        """See Backend.store."""
        alike: dict[int, list[Write]] = defaultdict(list)
        for write in writes:
            alike[write.expires].append(write)

        def upsert(collection: Any) -> dict[bytes, int | BackendError]:
            stored: dict[bytes, int | BackendError] = {}
            for expires, some in alike.items():
                names = [document_id(write.key) for write in some]
                documents = {
                    name: (write.value, write.flags)
                    for name, write in zip(names, some, strict=True)
                    if name is not None
                }
                answers = _Answers(
                    collection.upsert_multi(
                        documents,
                        transcoder=self._plain,
                        timeout=self._write,
                        expiry=expiry_of(expires),
                    )
                )
                for name, write in zip(names, some, strict=True):
                    stored[write.key] = _stored(answers, name)
            return stored

        results = await self._call(upsert)
        return [results[write.key] for write in writes]

    async def remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        """See Backend.remove."""
        names = [document_id(key) for key in keys]

        def remove(collection: Any) -> list[bool | BackendError]:
            wanted = [name for name in names if name is not None]
            answers = _Answers(collection.remove_multi(wanted, timeout=self._write))
            return [_there(answers, name) for name in names]

        return await self._call(remove)

    async def versions(self, keys: Sequence[bytes]) -> Sequence[int | BackendError | None]:
        """See Backend.versions."""
        names = [document_id(key) for key in keys]

        def look(collection: Any) -> list[int | BackendError | None]:
            if self.many_versions:
                wanted = [name for name in names if name is not None]
                answers = _Answers(collection.exists_multi(wanted, timeout=self._write))
                errors = answers.exceptions.values()
                if not any(isinstance(error, UnsupportedOperation) for error in errors):
                    return [_version(answers, name) for name in names]
                self.many_versions = False
            return [None if name is None else self._version(collection, name) for name in names]

        return await self._call(look)

    def _version(self, collection: Any, name: str) -> int | BackendError | None:
        """Return the CAS of one document by a look at an attribute that nothing has."""
        try:
            looked = collection.lookup_in(
                name, [subdocument.exists(_NO_ATTRIBUTE, xattr=True)], timeout=self._write
            )
            return int(looked.cas)
        except DocumentNotFoundException:
            return None
        except CouchbaseException as error:
            return _translated(error)

    async def touch(self, touches: Sequence[tuple[bytes, int]]) -> Sequence[bool | BackendError]:
        """See Backend.touch."""
        alike: dict[int, list[str]] = defaultdict(list)
        for key, expires in touches:
            name = document_id(key)
            if name is not None:
                alike[expires].append(name)

        def touch(collection: Any) -> list[bool | BackendError]:
            there: dict[str | None, bool | BackendError] = {None: False}
            for expires, names in alike.items():
                answers = _Answers(
                    collection.touch_multi(names, expiry_of(expires), timeout=self._write)
                )
                there |= {name: _there(answers, name) for name in names}
            return [there[document_id(key)] for key, _ in touches]

        return await self._call(touch)

    async def insert(self, write: Write) -> int:
        """See Backend.insert."""
        name = _storable(write.key)

        def insert(collection: Any) -> int:
            return int(
                collection.insert(
                    name,
                    (write.value, write.flags),
                    transcoder=self._plain,
                    timeout=self._write,
                    expiry=expiry_of(write.expires),
                ).cas
            )

        return await self._call(insert)

    async def replace(self, write: Write, cas: int, *, keep_expiry: bool = False) -> int:
        """See Backend.replace."""
        name = _storable(write.key)
        expiry = {"preserve_expiry": True} if keep_expiry else {"expiry": expiry_of(write.expires)}

        def replace(collection: Any) -> int:
            return int(
                collection.replace(
                    name,
                    (write.value, write.flags),
                    transcoder=self._plain,
                    timeout=self._write,
                    cas=cas,
                    **expiry,
                ).cas
            )

        return await self._call(replace)

    async def extend(self, key: bytes, value: bytes, cas: int, *, front: bool) -> int:
        """See Backend.extend."""
        name = _storable(key)

        def extend(collection: Any) -> int:
            binary = collection.binary()
            call = binary.prepend if front else binary.append
            return int(call(name, value, timeout=self._write, cas=cas).cas)

        return await self._call(extend)

    async def remove_only(self, key: bytes, cas: int) -> None:
        """See Backend.remove_only."""
        name = _storable(key)
        await self._call(lambda each: each.remove(name, cas=cas, timeout=self._write))

    async def keys(self) -> AsyncIterator[bytes]:
        """See Backend.keys: by a range scan, which needs Couchbase 7.6 and a bucket on disk."""
        listed: asyncio.Queue[bytes | BackendError | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def scan(collection: Any) -> None:
            try:
                for each in collection.scan(RangeScan(), ScanOptions(ids_only=True)):
                    loop.call_soon_threadsafe(listed.put_nowait, key_of(each.id))
                loop.call_soon_threadsafe(listed.put_nowait, None)
            except CouchbaseException as error:
                why = RefusedError(
                    "this Couchbase cannot list keys (7.6 and a bucket of type couchbase can):"
                    f" {_text(error)}"
                )
                loop.call_soon_threadsafe(listed.put_nowait, why)

        await self._call(lambda collection: self._threads.submit(scan, collection))
        while (found := await listed.get()) is not None:
            if isinstance(found, BackendError):
                raise found
            yield found

    async def flush(self) -> None:
        """See Backend.flush: the bucket must allow it."""
        await self._call(lambda _: self._cluster.buckets().flush_bucket(self._settings.bucket))

    async def _call(self, call: Callable[[Any], T]) -> T:
        """Return what `call` returns for the collection, from a thread."""
        collection = self._collection
        if collection is None:
            raise self._why
        job = functools.partial(_translate, call, collection)
        return await asyncio.get_running_loop().run_in_executor(self._threads, job)


def _translate(call: Callable[[Any], T], collection: Any) -> T:
    try:
        return call(collection)
    except DocumentNotFoundException:
        raise MissingError from None
    except (CasMismatchException, DocumentExistsException):
        raise MismatchError from None
    except CouchbaseException as error:
        raise _translated(error) from error


def _translated(error: Exception | None) -> BackendError:
    """Return what the gateway calls an error of the SDK's."""
    text = _text(error)
    if isinstance(error, _TIMEOUTS):
        return TimedOutError(f"Couchbase does not answer in time ({text})")
    if isinstance(error, _AWAY):
        return UnavailableError(f"Couchbase is not there ({text})")
    if isinstance(error, AuthenticationException):
        return ForbiddenError("Couchbase does not know this user or password")
    if isinstance(error, BucketNotFoundException):
        return ForbiddenError("Couchbase has no such bucket, or it is not for this user")
    return RefusedError(f"Couchbase refused: {text}")


def _text(error: Exception | None) -> str:
    """Return what is short and telling of an error of the SDK's."""
    message = getattr(error, "message", None) or type(error).__name__
    return f"{type(error).__name__}: {message}"[:200]


class _Answers:
    """What the SDK answers to a call with many keys: it makes its dictionaries anew when asked."""

    def __init__(self, answers: Any) -> None:
        self.results: dict[str | None, Any] = answers.results
        self.exceptions: dict[str | None, Any] = {} if answers.all_ok else answers.exceptions


def _stored(answers: _Answers, name: str | None) -> int | BackendError:
    if name is None:
        return RefusedError("such a key cannot be a document's")
    result = answers.results.get(name)
    return int(result.cas) if result is not None else _translated(answers.exceptions.get(name))


def _there(answers: _Answers, name: str | None) -> bool | BackendError:
    if name is None:
        return False
    if name in answers.results:
        return True
    error = answers.exceptions.get(name)
    return False if isinstance(error, DocumentNotFoundException) else _translated(error)


def _version(answers: _Answers, name: str | None) -> int | BackendError | None:
    result = answers.results.get(name)
    if name is None or result is not None:
        return int(result.cas) if result is not None and result.exists else None
    return _translated(answers.exceptions.get(name))


def _storable(key: bytes) -> str:
    name = document_id(key)
    if name is None:
        raise RefusedError("such a key cannot be a document's")
    return name
