"""Which names the links of a site depend on: those on the way to what each points to."""

from collections import defaultdict
from collections.abc import Collection


class Ways:
    """The names on the way of each link, existing or not, and the links by such names.

    All are absolute paths; a link is on its own way.
    """

    def __init__(self) -> None:
        self._names: dict[bytes, set[bytes]] = {}
        self._links: defaultdict[bytes, set[bytes]] = defaultdict(set)

    def note(self, link: bytes, names: set[bytes]) -> None:
        """Note that the way of `link` leads over `names`, and over no others."""
        self.forget(link)
        self._names[link] = names
        for name in names:
            self._links[name].add(link)

    def forget(self, link: bytes) -> None:
        """Forget the way of `link`."""
        for name in self._names.pop(link, ()):
            self._links[name].discard(link)
            if not self._links[name]:
                del self._links[name]

    def clear(self) -> None:
        """Forget all."""
        self._names.clear()
        self._links.clear()

    def over(self, name: bytes) -> Collection[bytes]:
        """Return the links whose way leads over `name`, in order."""
        return sorted(self._links[name]) if name in self._links else ()

    def over_or_below(self, name: bytes) -> Collection[bytes]:
        """Return the links whose way leads over `name`, or a name below it, in order."""
        links: set[bytes] = set()
        for each, dependents in self._links.items():
            if each == name or each.startswith(name.rstrip(b"/") + b"/"):
                links |= dependents
        return sorted(links)

    def below(self, directory: bytes) -> Collection[bytes]:
        """Return the links that are themselves below `directory` (no `/` at the end)."""
        return [each for each in self._names if each.startswith(directory + b"/")]
