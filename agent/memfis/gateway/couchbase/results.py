"""What Couchbase's SDK answers, and fails with, in the gateway's terms."""

from collections.abc import Callable
from typing import Any, TypeVar

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
)

from memfis.gateway.backend import (
    BackendError,
    ForbiddenError,
    MismatchError,
    MissingError,
    RefusedError,
    TimedOutError,
    UnavailableError,
)
from memfis.gateway.couchbase.documents import document_id

T = TypeVar("T")

_TIMEOUTS = (TimeoutException, AmbiguousTimeoutException, UnAmbiguousTimeoutException)
_AWAY = (RequestCanceledException, ServiceUnavailableException, TemporaryFailException)


def translating(call: Callable[[Any], T], collection: Any) -> T:
    """Return what `call` returns for `collection`; raises what Backend says of one key."""
    try:
        return call(collection)
    except DocumentNotFoundException:
        raise MissingError from None
    except (CasMismatchException, DocumentExistsException):
        raise MismatchError from None
    except CouchbaseException as error:
        raise translated(error) from error


def translated(error: Exception | None) -> BackendError:
    """Return what the gateway calls an error of the SDK's."""
    text = text_of(error)
    if isinstance(error, _TIMEOUTS):
        return TimedOutError(f"Couchbase does not answer in time ({text})")
    if isinstance(error, _AWAY):
        return UnavailableError(f"Couchbase is not there ({text})")
    if isinstance(error, AuthenticationException):
        return ForbiddenError("Couchbase does not know this user or password")
    if isinstance(error, BucketNotFoundException):
        return ForbiddenError("Couchbase has no such bucket, or it is not for this user")
    return RefusedError(f"Couchbase refused: {text}")


def text_of(error: Exception | None) -> str:
    """Return what is short and telling of an error of the SDK's."""
    message = getattr(error, "message", None) or type(error).__name__
    return f"{type(error).__name__}: {message}"[:200]


class ManyResults:
    """What became of a call with many keys; the SDK makes its dictionaries anew when asked."""

    def __init__(self, answer: Any) -> None:
        self.of: dict[str | None, Any] = answer.results
        """By document ID, where it was done."""
        self.errors: dict[str | None, Any] = {} if answer.all_ok else answer.exceptions


def stored(results: ManyResults, name: str | None) -> int | BackendError:
    """Return the CAS of a document that was written, or why it was not."""
    if name is None:
        return RefusedError("such a key cannot be a document's")
    result = results.of.get(name)
    return int(result.cas) if result is not None else translated(results.errors.get(name))


def was_there(results: ManyResults, name: str | None) -> bool | BackendError:
    """Return whether there was a document to do something to."""
    if name is None:
        return False
    if name in results.of:
        return True
    error = results.errors.get(name)
    return False if isinstance(error, DocumentNotFoundException) else translated(error)


def version(results: ManyResults, name: str | None) -> int | BackendError | None:
    """Return the CAS of a document, None where none is."""
    result = results.of.get(name)
    if name is None or result is not None:
        return int(result.cas) if result is not None and result.exists else None
    return translated(results.errors.get(name))


def storable(key: bytes) -> str:
    """Return the ID for `key`; raises RefusedError where no document can have it."""
    name = document_id(key)
    if name is None:
        raise RefusedError("such a key cannot be a document's")
    return name
