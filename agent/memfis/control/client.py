"""How commands ask a running agent: to sync a site whose lock it has, or how it is doing.

Over a unix socket in the runtime directory: one request, then answers until the last, each a line
of JSON. Only the agent's own user and root may connect.
"""

import socket
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from memfis.errors import MemfisError, SafetyError, StoreError, UsageError
from memfis.render.figures import Figures, Purged
from memfis.settings.values import Site
from memfis.sync import Change, MaxDelete, Options, Report

SOCKET = "agent.sock"

PATIENCE = 2.0
"""Seconds to wait for an answer that takes the agent no work."""

PURGE = 60.0
"""Seconds to wait until a purge is done."""

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


class Rendering(msgspec.Struct, kw_only=True):
    """How pages are rendered; counts since the agent began with the site."""

    pages: int
    """In the store now."""
    waiting: int
    """Pages to be rendered."""
    trouble: bool
    """The origin failed, and did not answer since."""
    figures: Figures


class Keeping(msgspec.Struct, tag="keeping", kw_only=True):
    """How the agent keeps a site."""

    pages: int
    pending_directories: int
    """Directories that changed, still to be looked at."""
    watched_directories: int
    """0: changes are found by looking."""
    problems: dict[str, int]
    """What should be in memory and cannot, by reason."""
    rendering: Rendering | None = None
    """Of a site whose pages PHP makes."""


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


def hand_over(runtime_directory: Path, site: Site, options: Options) -> Report | None:
    """Let a running agent sync `site` and wait for its report; None when there is no agent.

    Raises what the sync raised there, and UsageError when the agent may not be asked.
    """
    request = SyncRequest(
        site=site,
        delete=options.delete,
        max_delete=str(options.max_delete),
        checksum=options.checksum,
        dry_run=options.dry_run,
    )
    try:
        with closing(_answers(runtime_directory, request)) as answers:
            for answer in answers:
                match answer:
                    case Progress(files):
                        options.progress(files)
                    case Foreseen(change):
                        options.seen(change)
                    case Finished(report):
                        return report
    except PermissionError as error:
        raise UsageError(
            f"site {site.name} is in the hands of an agent that may not be asked: run this as the"
            f" agent's user or as root ({error.filename}: {error.strerror})"
        ) from error
    except OSError:
        return None  # none there, or one that stops: whoever asked looks at the lock again
    return None


def ask_purge(
    runtime_directory: Path, site: str, patterns: Sequence[str], *, dry_run: bool
) -> Purged | None:
    """Let a running agent purge pages of `site`; None when there is no agent.

    Raises what the purge raised there, and UsageError when the agent may not be asked.
    """
    request = PurgeRequest(site=site, patterns=list(patterns), dry_run=dry_run)
    try:
        with closing(_answers(runtime_directory, request, PURGE)) as answers:
            for answer in answers:
                if isinstance(answer, Purged):
                    return answer
    except PermissionError as error:
        raise UsageError(
            f"site {site} is in the hands of an agent that may not be asked: run this as the"
            f" agent's user or as root ({error.filename}: {error.strerror})"
        ) from error
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except OSError as error:
        raise MemfisError(f"site {site}: the agent did not answer: {error}") from error
    raise MemfisError(f"site {site}: the agent ended before it had purged")


def ask_status(runtime_directory: Path, site: str) -> Keeping | None:
    """Ask a running agent how `site` is; None when there is no agent, or it has not that site.

    Raises PermissionError when the agent may not be asked.
    """
    try:
        with closing(_answers(runtime_directory, StatusRequest(site), PATIENCE)) as answers:
            for answer in answers:
                if isinstance(answer, Keeping):
                    return answer
    except PermissionError:
        raise
    except (OSError, UsageError):
        return None
    return None


def _answers(
    runtime_directory: Path, request: Request, timeout: float | None = None
) -> Generator[Answer, None, None]:
    """Yield what a running agent says to `request`; raises OSError, and what it failed with."""
    path = str(runtime_directory / SOCKET)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(path)
        except PermissionError as error:
            error.filename = path
            raise
        connection.sendall(encode(request))
        with connection.makefile("rb") as lines:
            for line in lines:
                try:
                    answer = _answer.decode(line)
                except msgspec.MsgspecError as error:
                    raise UsageError(
                        f"the agent is of another version, restart it: {error}"
                    ) from error
                if isinstance(answer, Failed):
                    raise ERRORS.get(answer.error, MemfisError)(answer.message)
                yield answer
