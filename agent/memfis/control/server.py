"""The agent's side: a socket at which commands ask for its work and its state."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec.structs

from memfis.control.messages import (
    ERRORS,
    Answer,
    Failed,
    Finished,
    Foreseen,
    Keeping,
    Progress,
    PurgeRequest,
    StatusRequest,
    SyncRequest,
    decode_request,
    encode,
)
from memfis.errors import MemfisError, UsageError
from memfis.keeper import Kept, Purger
from memfis.render.patterns import parse
from memfis.service.listening import Listeners
from memfis.sync import Report

PATIENCE = 5.0
"""Seconds to wait for a request."""


async def answer_requests(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    keeper: Callable[[str], Kept | None],
    purge: Purger,
    listeners: Listeners,
) -> None:
    """Serve one client: do what it asks with the `keeper` of its site; `purge` purges.

    `listeners`: those of the agent, of which it is told too.
    """

    def say(answer: Answer) -> None:
        writer.write(encode(answer))

    try:
        async with asyncio.timeout(PATIENCE):
            line = await reader.readline()
        request = decode_request(line)
        match request:
            case StatusRequest(name):
                say(_keeping(_keeper_of(name, keeper), listeners.trouble))
            case PurgeRequest(site=site, patterns=texts, dry_run=dry_run):
                keeper_of_site = _keeper_of(site, keeper)
                patterns = [parse(text) for text in texts]
                say(await purge(keeper_of_site, patterns, dry_run=dry_run))
            case SyncRequest():
                report = await _sync(request, _keeper_of(request.site.name, keeper), say)
                say(Finished(report))
    except MemfisError as error:
        kind = next(name for name, each in ERRORS.items() if isinstance(error, each))
        say(Failed(kind, str(error)))
    except (OSError, ValueError):
        return  # it said nothing, or more than any request is long
    finally:
        writer.close()


def _keeper_of(name: str, keeper: Callable[[str], Kept | None]) -> Kept:
    found = keeper(name)
    if found is None:
        raise UsageError(f"site {name} is not one of the running agent's: reload it")
    return found


def _keeping(keeper: Kept, not_listening: list[str]) -> Keeping:
    return Keeping(
        pages=keeper.pages,
        pending_directories=keeper.waiting,
        watched_directories=keeper.watched,
        problems=keeper.problems.kinds(),
        held=keeper.held,
        rendering=keeper.rendering_status(),
        not_listening=not_listening,
    )


async def _sync(request: SyncRequest, keeper: Kept, say: Callable[[Answer], None]) -> Report:
    theirs = msgspec.structs.asdict(request.site)
    different = [
        name for name, value in msgspec.structs.asdict(keeper.site).items() if theirs[name] != value
    ]
    if different:
        raise UsageError(
            f"site {request.site.name} is kept by a running agent with another"
            f" {', '.join(different)}: reload the agent, or give the site another name"
        )
    options = replace(
        request.options,
        progress=lambda files: say(Progress(files)),
        seen=lambda change: say(Foreseen(change)),
    )
    return await keeper.ask(options)
