"""The filesystem as a whole: every operation, each done by the part that is made for it."""

from memfis.filesystem.attributes import AttributeChanges
from memfis.filesystem.directories import Directories
from memfis.filesystem.handles import Handles
from memfis.filesystem.items import Items
from memfis.filesystem.lookups import Lookups
from memfis.filesystem.names import Names
from memfis.filesystem.open_files import OpenFiles
from memfis.filesystem.rename import Rename
from memfis.filesystem.upkeep import Upkeep
from memfis.filesystem.writeback import Writeback


class Filesystem:
    """One site's files. Paths are bytes, absolute, without a `/` at the end but for the root.

    Every operation raises OSError with the errno that POSIX gives it, EIO when the store cannot be
    asked, ENOSPC when it has no room. Not thread-safe: one caller at a time. `open_site` makes one.

    The operations are methods of the parts themselves: one more call for each would cost time.
    """

    def __init__(
        self,
        *,
        items: Items,
        handles: Handles,
        lookups: Lookups,
        open_files: OpenFiles,
        directories: Directories,
        names: Names,
        rename: Rename,
        attributes: AttributeChanges,
        writeback: Writeback,
        upkeep: Upkeep | None,
    ) -> None:
        """Consist of these parts; `upkeep`: None where nothing may be written."""
        self._items = items
        self._handles = handles
        self._writeback = writeback
        self._upkeep = upkeep

        self.attributes = lookups.attributes
        self.names = lookups.names
        self.target = lookups.target
        self.extended = lookups.extended
        self.space = lookups.space

        self.create = open_files.create
        self.open = open_files.open
        self.read = open_files.read
        self.write = open_files.write
        self.allocate = open_files.allocate
        self.truncate = open_files.truncate
        self.flush = open_files.flush
        self.sync = open_files.sync
        self.release = open_files.release

        self.make_directory = directories.make_directory
        self.remove_directory = directories.remove_directory
        self.make_link = names.make_link
        self.remove = names.remove
        self.rename = rename.rename

        self.change_mode = attributes.change_mode
        self.change_owner = attributes.change_owner
        self.change_times = attributes.change_times
        self.set_extended = attributes.set_extended
        self.remove_extended = attributes.remove_extended

        self.write_all = writeback.write_all

    def write_pending(self) -> None:
        """Write what may wait, as `Upkeep` does."""
        if self._upkeep is not None:
            self._upkeep.write_pending()

    def close(self) -> list[str]:
        """Write all that is pending; return a line for each thing that could not be written."""
        lost = self._writeback.write_last(self._handles.nodes())
        self._items.close()
        return lost
