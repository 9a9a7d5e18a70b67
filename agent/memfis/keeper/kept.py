"""What others may know and want of a site that is kept, by this process or by one of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from memfis.nginx.hints import Hint
from memfis.render.figures import Purged, RenderingStatus
from memfis.render.patterns import Pattern
from memfis.settings.values import Site
from memfis.sync import Held, Options, Report


class StoreHealth(Protocol):
    """How the store of a site is."""

    @property
    def is_down(self) -> bool:
        """Whether it did not answer when it was asked last."""

    @property
    def figures(self) -> Mapping[str, str]:
        """What it answered to `stats` last; nothing while it is down."""


class KnownProblems(Protocol):
    """What of a site should be in memory and cannot."""

    def __len__(self) -> int:
        """Return how much that is."""

    def kinds(self) -> dict[str, int]:
        """Return how much of it there is of each kind."""


class Kept(Protocol):
    """A site that is kept equal to its web root; see `SiteKeeper`, which says what each is."""

    @property
    def site(self) -> Site: ...
    @property
    def health(self) -> StoreHealth: ...
    @property
    def problems(self) -> KnownProblems: ...
    @property
    def begun(self) -> asyncio.Event: ...
    @property
    def pages(self) -> int: ...
    @property
    def report(self) -> Report | None: ...
    @property
    def syncs(self) -> int: ...
    @property
    def last_sync(self) -> float | None: ...
    @property
    def waiting(self) -> int: ...
    @property
    def held(self) -> Held | None: ...
    @property
    def watched(self) -> int: ...
    def rendering_status(self) -> RenderingStatus | None: ...
    def ask(self, options: Options) -> "asyncio.Future[Report]": ...
    def hint(self, hint: Hint) -> bool: ...
    async def purge(self, patterns: Sequence[Pattern], *, dry_run: bool) -> Purged: ...
    async def keep(self) -> None: ...


class Purger(Protocol):
    """Purges pages of the site of `keeper`, and lets whoever else has them know."""

    async def __call__(
        self, keeper: Kept, patterns: Sequence[Pattern], *, dry_run: bool
    ) -> Purged: ...
