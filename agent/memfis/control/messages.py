"""What commands and a running agent say to each other, each message a line of JSON (UTF-8).

A client sends one request, and the agent answers until the last: `Finished`, `Keeping`, `Purged` or
`Failed`.
"""

import msgspec

from memfis.errors import MemfisError, SafetyError, StoreError, UsageError
from memfis.render.figures import Purged, RenderingStatus
from memfis.settings.values import Site
from memfis.sync import Change, Held, MaxDelete, Options, Report

SOCKET = "agent.sock"
"""Its name in the runtime directory."""

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


class PurgeRequest(msgspec.Struct, tag="purge", kw_only=True):
    """Please purge what `patterns` (see `memfis.render.patterns`) fit of `site`."""

    site: str
    patterns: list[str]
    dry_run: bool


class StatusRequest(msgspec.Struct, tag="status"):
    """Please tell how `site` is kept."""

    site: str


class Progress(msgspec.Struct, tag="progress"):
    """So many files were dealt with."""

    files: int


class Foreseen(msgspec.Struct, tag="foreseen"):
    """Part of a dry run."""

    change: Change


class Finished(msgspec.Struct, tag="finished"):
    """It is done."""

    report: Report


class Keeping(msgspec.Struct, tag="keeping", kw_only=True):
    """How the agent keeps a site."""

    pages: int
    pending_directories: int
    """Directories that changed, still to be compared."""
    watched_directories: int
    """0: changes are found by comparing everything now and then."""
    problems: dict[str, int]
    """What should be in memory and cannot, by reason."""
    held: Held | None = None
    """Pages that stay for a while although their files are not found."""
    rendering: RenderingStatus | None = None
    """Of a site whose pages PHP makes."""
    not_listening: list[str] = []
    """Listeners of the agent, of all sites, that cannot be opened, and why."""


class Failed(msgspec.Struct, tag="failed"):
    """It could not be done: the name of an error, and what it says."""

    error: str
    message: str


Request = SyncRequest | StatusRequest | PurgeRequest
Answer = Progress | Foreseen | Finished | Keeping | Purged | Failed

_encode = msgspec.json.Encoder().encode
_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """Return `message` as a line."""
    return _encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Return the request in `line`; raises UsageError."""
    try:
        return _request.decode(line)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the agent does not understand this memfis: {error}") from error


def decode_answer(line: bytes) -> Answer:
    """Return the answer in `line`; raises UsageError."""
    try:
        return _answer.decode(line)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the agent is of another version, restart it: {error}") from error
