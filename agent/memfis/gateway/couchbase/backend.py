"""Couchbase as the gateway's database, through its SDK.

The SDK's calls block, so they are made in threads, many keys in one call where there are many: that
costs a third of the CPU time of one call a key (docs/performance.md). Documents hold the bytes as
they came; the client flags are the document's own 32 bits of flags.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import couchbase.subdocument as subdocument
from couchbase.exceptions import (
    CouchbaseException,
    DocumentNotFoundException,
    UnsupportedOperation,
)
from couchbase.kv_range_scan import RangeScan
from couchbase.options import ScanOptions
from couchbase.transcoder import Transcoder

from memfis.gateway.backend import BackendError, Document, RefusedError, Write
from memfis.gateway.couchbase.connection import BucketConnection
from memfis.gateway.couchbase.documents import document_id, expiry_of, key_of, password_in
from memfis.gateway.couchbase.results import (
    ManyResults,
    storable,
    stored,
    text_of,
    translated,
    version,
    was_there,
)
from memfis.settings.values import GatewaySettings

_NO_ATTRIBUTE = "memfis"


@contextmanager
def connected(settings: GatewaySettings) -> Iterator["CouchbaseBackend"]:
    """Yield the bucket of `settings`, to which a connection is made in the background.

    Raises UsageError when the password cannot be read.
    """
    bucket = BucketConnection(settings, password_in(settings.password_file))
    bucket.start()
    try:
        yield CouchbaseBackend(bucket, settings.write_timeout)
    finally:
        bucket.close()


class _Plain(Transcoder):  # type: ignore[misc]
    """Bytes and flags as they are: the SDK's own would set flags that nginx takes for gzip."""

    def encode_value(self, value: tuple[bytes, int]) -> tuple[bytes, int]:
        return value

    def decode_value(self, value: bytes, flags: int) -> tuple[bytes, int]:
        return value, flags


class CouchbaseBackend:
    """The documents of one bucket."""

    def __init__(self, bucket: BucketConnection, write_timeout: float) -> None:
        """Ask `bucket`; a write may take `write_timeout` seconds."""
        self.many_versions = True  # CouchbaseMock cannot, which is found out
        self._bucket = bucket
        self._write = timedelta(seconds=write_timeout)
        self._plain = _Plain()

    async def fetch(
        self, keys: Sequence[bytes], limit: float
    ) -> Sequence[Document | BackendError | None]:
        """See Backend.fetch."""
        timeout = timedelta(seconds=limit)
        names = [document_id(key) for key in keys]

        def get(collection: Any) -> list[Document | BackendError | None]:
            wanted = [name for name in names if name is not None]
            answers = ManyResults(
                collection.get_multi(wanted, transcoder=self._plain, timeout=timeout)
            )
            found: list[Document | BackendError | None] = []
            for name in names:
                result = answers.of.get(name)
                if result is not None:
                    value, flags = result.value
                    found.append(Document(value, flags, result.cas))
                    continue
                error = answers.errors.get(name)
                absent = name is None or isinstance(error, DocumentNotFoundException)
                found.append(None if absent else translated(error))
            return found

        return await self._bucket.call(get)

    async def store(self, writes: Sequence[Write]) -> Sequence[int | BackendError]:
        """See Backend.store."""
        alike: dict[int, list[Write]] = defaultdict(list)
        for write in writes:
            alike[write.expires].append(write)

        def upsert(collection: Any) -> dict[bytes, int | BackendError]:
            results: dict[bytes, int | BackendError] = {}
            for expires, some in alike.items():
                names = [document_id(write.key) for write in some]
                documents = {
                    name: (write.value, write.flags)
                    for name, write in zip(names, some, strict=True)
                    if name is not None
                }
                answers = ManyResults(
                    collection.upsert_multi(
                        documents,
                        transcoder=self._plain,
                        timeout=self._write,
                        expiry=expiry_of(expires),
                    )
                )
                for name, write in zip(names, some, strict=True):
                    results[write.key] = stored(answers, name)
            return results

        results = await self._bucket.call(upsert)
        return [results[write.key] for write in writes]

    async def remove(self, keys: Sequence[bytes]) -> Sequence[bool | BackendError]:
        """See Backend.remove."""
        names = [document_id(key) for key in keys]

        def remove(collection: Any) -> list[bool | BackendError]:
            wanted = [name for name in names if name is not None]
            answers = ManyResults(collection.remove_multi(wanted, timeout=self._write))
            return [was_there(answers, name) for name in names]

        return await self._bucket.call(remove)

    async def versions(self, keys: Sequence[bytes]) -> Sequence[int | BackendError | None]:
        """See Backend.versions."""
        names = [document_id(key) for key in keys]

        def versions(collection: Any) -> list[int | BackendError | None]:
            if self.many_versions:
                wanted = [name for name in names if name is not None]
                answers = ManyResults(collection.exists_multi(wanted, timeout=self._write))
                errors = answers.errors.values()
                if not any(isinstance(error, UnsupportedOperation) for error in errors):
                    return [version(answers, name) for name in names]
                self.many_versions = False
            return [None if name is None else self._version(collection, name) for name in names]

        return await self._bucket.call(versions)

    def _version(self, collection: Any, name: str) -> int | BackendError | None:
        """Return the CAS of one document by asking for an attribute that nothing has."""
        try:
            looked = collection.lookup_in(
                name, [subdocument.exists(_NO_ATTRIBUTE, xattr=True)], timeout=self._write
            )
            return int(looked.cas)
        except DocumentNotFoundException:
            return None
        except CouchbaseException as error:
            return translated(error)

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
                answers = ManyResults(
                    collection.touch_multi(names, expiry_of(expires), timeout=self._write)
                )
                there |= {name: was_there(answers, name) for name in names}
            return [there[document_id(key)] for key, _ in touches]

        return await self._bucket.call(touch)

    async def insert(self, write: Write) -> int:
        """See Backend.insert."""
        name = storable(write.key)

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

        return await self._bucket.call(insert)

    async def replace(self, write: Write, cas: int, *, keep_expiry: bool = False) -> int:
        """See Backend.replace."""
        name = storable(write.key)
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

        return await self._bucket.call(replace)

    async def extend(self, key: bytes, value: bytes, cas: int, *, front: bool) -> int:
        """See Backend.extend."""
        name = storable(key)

        def extend(collection: Any) -> int:
            binary = collection.binary()
            call = binary.prepend if front else binary.append
            return int(call(name, value, timeout=self._write, cas=cas).cas)

        return await self._bucket.call(extend)

    async def remove_only(self, key: bytes, cas: int) -> None:
        """See Backend.remove_only."""
        name = storable(key)
        await self._bucket.call(lambda each: each.remove(name, cas=cas, timeout=self._write))

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
                    f" {text_of(error)}"
                )
                loop.call_soon_threadsafe(listed.put_nowait, why)

        self._bucket.begin(scan)
        while (found := await listed.get()) is not None:
            if isinstance(found, BackendError):
                raise found
            yield found

    async def flush(self) -> None:
        """See Backend.flush: the bucket must allow it."""
        await self._bucket.flush()
