"""What systemd's units run: `python -m memfis.memory WHAT`, and options.

`load` when the host has started, `save` when it is shut down; `take` before memcached starts,
`started` once it has, `stopped` after it stopped; each prints a line for the journal. `check` says
whether a restart keeps what the running store has: it exits with 1, and says why, where it would
not.
"""

import argparse
import sys
from pathlib import Path

from memfis.errors import UnfitMemoryError
from memfis.memory.start import (
    Places,
    after_start,
    after_stop,
    before_start,
    check_restart,
    load,
    save,
)


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m memfis.memory")
    parser.add_argument("what", choices=("load", "take", "started", "stopped", "save", "check"))
    parser.add_argument("--link", type=Path, required=True, help="where the store is found")
    parser.add_argument("--memory", type=Path, required=True, help="the tmpfs of its memory")
    parser.add_argument("--kept", type=Path, required=True, help="where that is kept")
    parser.add_argument("--program", default="/usr/bin/memcached")
    parser.add_argument("--memory-limit", type=int, required=True, help="memcached's -m")
    parser.add_argument("--max-item-size", required=True, help="memcached's -I")
    given = parser.parse_args(arguments)
    places = Places(given.link, given.memory, given.kept)
    wanted = given.program, given.memory_limit, given.max_item_size
    match given.what:
        case "load":
            print(load(places, *wanted))
        case "take":
            print(before_start(places, *wanted))
        case "started":
            print(after_start(places))
        case "stopped":
            print(after_stop(places))
        case "save":
            print(save(places))
        case _:
            try:
                check_restart(places, *wanted)
            except UnfitMemoryError as error:
                print(error)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
