"""Open files by the name they were opened by, and those whose name is gone.

A file may be removed, or another renamed over it, while it is open. libfuse then renames it to
`.fuse_hidden…`, and goes on asking for it by that name until it is closed. No such name ever gets
to the filesystem: what is asked by one is asked of a handle.
"""


class HiddenNames:
    """Which handle stands for which hidden name; all paths as libfuse has them."""

    def __init__(self) -> None:
        self._paths: dict[int, bytes] = {}
        """By handle, what is not hidden."""
        self._hidden: dict[bytes, list[int]] = {}
        """By hidden name, which open files it stands for."""

    def opened(self, handle: int, path: bytes) -> None:
        """Note that `handle` is the file at `path`."""
        self._paths[handle] = path

    def opened_again(self, handle: int, hidden: bytes) -> None:
        """Note that `handle` is one more of the open file that libfuse calls `hidden`."""
        self._hidden[_name(hidden)].append(handle)

    def closed(self, handle: int) -> None:
        """Note that `handle` is no more."""
        if self._paths.pop(handle, None) is None:
            for name, handles in list(self._hidden.items()):
                if handle in handles:
                    handles.remove(handle)
                    if not handles:
                        del self._hidden[name]

    def renamed(self, old: bytes, new: bytes) -> None:
        """Note that what was at `old`, and all below it, is at `new` now."""
        for handle, path in self._paths.items():
            if path == old:
                self._paths[handle] = new
            elif path.startswith(old + b"/"):
                self._paths[handle] = new + path[len(old) :]

    def hide(self, path: bytes, hidden: bytes) -> None:
        """Note that the open file at `path` has no name but what libfuse gives it, `hidden`."""
        handles = [handle for handle, its in self._paths.items() if its == path]
        for handle in handles:
            del self._paths[handle]
        if handles:
            self._hidden[_name(hidden)] = handles

    def handle(self, path: bytes) -> int | None:
        """Return a handle of the file that libfuse calls `path`, None if that is its real name."""
        if not self._hidden:  # nearly always
            return None
        handles = self._hidden.get(_name(path))
        return handles[0] if handles else None


def _name(path: bytes) -> bytes:
    """Return what is unique in a hidden path: directories above it may have been renamed."""
    return path.rpartition(b"/")[2]
