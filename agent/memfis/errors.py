"""The errors that memfis raises, and the exit code each one ends a command with.

MemfisError
├── UsageError             2  a flag, a setting or the configuration is wrong
│   ├── ConfigurationError    every problem of one configuration, by key path
│   └── UntrustedError        another user may have put it there
│   └── RootError             a web root cannot be used
│       ├── MissingRootError     nothing is there, or no directory
│       ├── ClosedRootError      nginx's user, or this one, may not enter it
│       └── BrokenRootError      its file system fails: what is there is not known
├── StoreError             3  the store cannot be reached, or answers nonsense
│   └── StoreRefusedError     the store is there and said no to one item
├── SafetyError            4  a safety limit refused the work; nothing was written
├── UnfitMemoryError          a kept memory of the embedded store cannot be used
└── ProgramError           2  nginx or memcached is missing, or did not start
"""


class MemfisError(Exception):
    """Base of every error a user can meet; its text is one clear line."""

    exit_code = 1


class UsageError(MemfisError):
    """A flag, an argument or a setting cannot be used as it is."""

    exit_code = 2


class ConfigurationError(UsageError):
    """A configuration with problems; `problems` holds one line each, by key path."""

    def __init__(self, source: str, problems: list[str]) -> None:
        """Keep the problems of the configuration read from `source`."""
        self.source = source
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


class RootError(UsageError):
    """A web root cannot be used."""


class MissingRootError(RootError):
    """Nothing is where a web root should be, or no directory."""


class ClosedRootError(RootError):
    """Nobody can be served what is in the web root: nginx's user, or this one, may not enter it."""


class BrokenRootError(RootError):
    """The file system of a web root fails, so what is there is not known."""


class UntrustedError(UsageError):
    """A directory, a lock or a socket that another user made, or may put another in place of."""


class StoreError(MemfisError):
    """The store cannot be reached, does not answer in time, or answers nonsense."""

    exit_code = 3


class StoreRefusedError(StoreError):
    """The store answered, and refused one item (too large, out of memory, bad key)."""


class SafetyError(MemfisError):
    """A safety limit refused the work; nothing was written."""

    exit_code = 4


class UnfitMemoryError(MemfisError):
    """What was kept of the embedded store's memory cannot be used; the text says why."""


class ProgramError(MemfisError):
    """A program that memfis starts is missing, or ended when it should run."""

    exit_code = 2
