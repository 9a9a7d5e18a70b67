"""What a filesystem does by itself from time to time."""

import logging

from memfis.errors import StoreError
from memfis.filesystem.recorder import Recorder
from memfis.filesystem.recovery import Recovery
from memfis.filesystem.saves import Saves
from memfis.filesystem.timing import Timing
from memfis.filesystem.writeback import Writeback

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds between two attempts to write what the store did not take."""


class Upkeep:
    """Writes what waits, and notices links of other mounts."""

    def __init__(
        self,
        recorder: Recorder,
        saves: Saves,
        recovery: Recovery,
        writeback: Writeback,
        timing: Timing,
    ) -> None:
        """Write by `writeback`, `saves` and `recorder`; `recovery` follows others' links."""
        self._recorder = recorder
        self._saves = saves
        self._recovery = recovery
        self._writeback = writeback
        self._timing = timing
        self._next_retry = 0.0

    def write_pending(self) -> None:
        """Write what may wait: directory times, batches, and what the store refused before.

        To be called every 50 ms or so. What cannot be written waits longer.
        """
        clock, batch = self._timing.clock, self._timing.batch
        try:
            self._writeback.write_due()
            if clock() >= self._next_retry:
                self._next_retry = clock() + max(self._timing.timeout, RETRY)
                self._saves.retry()
                self._recovery.follow_others()
            self._recorder.write_waiting(batch)
        except (OSError, StoreError) as error:  # told by `Items` when it begins
            log.debug("cannot write what waits: %s", error)
