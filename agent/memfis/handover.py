"""How `memfis sync` asks a running agent, who has the site's lock, to do the work.

Over a unix socket in the runtime directory: one request, then answers until the last, each a line
of JSON. Only the agent's own user and root may connect.
"""

import socket
from pathlib import Path

import msgspec

from memfis.config import Site
from memfis.errors import MemfisError, SafetyError, StoreError, UsageError
from memfis.sync import Change, MaxDelete, Options, Report

SOCKET = "agent.sock"

ERRORS = {error.__name__: error for error in (SafetyError, StoreError, UsageError, MemfisError)}
"""What may be raised on the other side."""


class SyncRequest(msgspec.Struct, tag="sync", kw_only=True):
    """Please sync `site`, which must be configured there as it is here."""

    site: Site
    delete: bool
    max_delete: str
    checksum: bool
    dry_run: bool

    @property
    def options(self) -> Options:
        """What it asks for."""
        return Options(
            delete=self.delete,
            max_delete=MaxDelete.parse(self.max_delete),
            checksum=self.checksum,
            dry_run=self.dry_run,
        )


class Progress(msgspec.Struct, tag="progress"):
    """So many files were dealt with."""

    files: int


class Foreseen(msgspec.Struct, tag="foreseen"):
    """Part of a dry run."""

    change: Change


class Finished(msgspec.Struct, tag="finished"):
    """It is done."""

    report: Report


class Failed(msgspec.Struct, tag="failed"):
    """It could not be done: the name of an error, and what it says."""

    error: str
    message: str


Answer = Progress | Foreseen | Finished | Failed

_encode = msgspec.json.Encoder().encode
_request = msgspec.json.Decoder(SyncRequest)
_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def encode(message: SyncRequest | Answer) -> bytes:
    """Return `message` as a line."""
    return _encode(message) + b"\n"


def decode_request(line: bytes) -> SyncRequest:
    """Return the request in `line`; raises UsageError."""
    try:
        return _request.decode(line)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the agent does not understand this memfis: {error}") from error


def hand_over(runtime_directory: Path, site: Site, options: Options) -> Report | None:
    """Let a running agent sync `site` and wait for its report; None when there is no agent.

    Raises what the sync raised there, and UsageError when the agent may not be asked.
    """
    path = runtime_directory / SOCKET
    request = SyncRequest(
        site=site,
        delete=options.delete,
        max_delete=str(options.max_delete),
        checksum=options.checksum,
        dry_run=options.dry_run,
    )
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(encode(request))
            with connection.makefile("rb") as lines:
                for line in lines:
                    report = _heard(line, options)
                    if report is not None:
                        return report
    except PermissionError as error:
        raise UsageError(
            f"site {site.name} is in the hands of an agent that may not be asked: run this as the"
            f" agent's user or as root ({path}: {error.strerror})"
        ) from error
    except OSError:
        return None  # none there, or one that stops: whoever asked looks at the lock again
    return None


def _heard(line: bytes, options: Options) -> Report | None:
    try:
        answer = _answer.decode(line)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the agent is of another version, restart it: {error}") from error
    match answer:
        case Progress(files):
            options.progress(files)
        case Foreseen(change):
            options.seen(change)
        case Finished(report):
            return report
        case Failed(name, message):
            raise ERRORS.get(name, MemfisError)(message)
    return None
