"""What a setting is, and a table of them: the one place from which all others are made or checked.

Only the standard library (docs/settings.md says why).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from memfis.settings.kinds import Kind, nearest, printable, wrong

REQUIRED: Final = "required"
"""The default of what must be given."""

Reader = Literal["play", "nginx", "agent", "gateway", "mount"]
"""Who uses a setting: the play itself, nginx's templates, the agent and commands, and so on."""

Readers = frozenset[Reader]
BY_PLAY: Readers = frozenset(("play",))
BY_NGINX: Readers = frozenset(("nginx",))
BY_AGENT: Readers = frozenset(("agent",))
BY_GATEWAY: Readers = frozenset(("gateway",))
BY_MOUNT: Readers = frozenset(("mount",))


@dataclass(frozen=True)
class Setting:
    """One setting: the only place where its name, default and rule stand."""

    name: str
    kind: Kind
    description: str
    """One line of Markdown, without a full stop."""
    default: Any = None
    """None: there is none, or `usually` says where it comes from. REQUIRED: it must be given."""
    usually: str = ""
    """Markdown: what tables say of the default where it is worked out, or has a name."""
    read_by: Readers = frozenset()
    since: str = "0.1.0"
    in_toml: "Setting | None" = None
    """How memfis.toml has it, where name or form differ; `as_in_toml` gives it."""
    secret: bool = False
    """Whether no log may show it."""
    group: str = ""
    """What stands above it in defaults/main.yml, where a group begins."""

    @property
    def as_in_toml(self) -> "Setting":
        """The setting as memfis.toml has it."""
        if self.in_toml is None:
            return self
        return replace(self.in_toml, read_by=BY_AGENT, since=self.since)

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED


def variable(
    prefix: str,
    name: str,
    kind: Kind,
    default: Any,
    description: str,
    *,
    usually: str = "",
    group: str = "",
    secret: bool = False,
) -> Setting:
    """Return the variable `prefix` + `name` of a role; the others are fields of `Setting`."""
    return Setting(
        f"{prefix}{name}",
        kind,
        description,
        default,
        usually,
        BY_PLAY,
        group=group,
        secret=secret,
    )


@dataclass(frozen=True)
class Table:
    """Settings that stand together, by name, in the order in which documents have them."""

    expected: str
    """What goes on after the word "expected" where something else stands in its place."""
    settings: tuple[Setting, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)
    """What a setting of an earlier version is called now, or what to write in its place."""
    also: Callable[[Mapping[str, Any], str], Iterable[str]] | None = None
    """Yields, of a table's values and where it stands, what does not go together."""
    type: str = "table"

    def __getitem__(self, name: str) -> Setting:
        for setting in self.settings:
            if setting.name == name:
                return setting
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(setting.name for setting in self.settings)

    def read_by(self, *readers: Reader) -> tuple[Setting, ...]:
        """Return the settings that one of `readers` uses."""
        return tuple(each for each in self.settings if each.read_by & frozenset(readers))

    def defaults(self, *readers: Reader) -> dict[str, Any]:
        """Return the defaults by name, of what `readers` use; what must be given is left out."""
        chosen = self.read_by(*readers) if readers else self.settings
        return {each.name: each.default for each in chosen if not each.is_required}

    def problems(
        self, value: object, where: str, *, as_text: bool, unknown: bool = True
    ) -> Iterator[str]:
        """Yield a line for everything that is wrong with the table `value` at `where`.

        A value of None counts as not given where Ansible gave it (`as_text`), as an empty one in
        YAML does. `unknown`: whether names that are no setting are told.
        """
        if not isinstance(value, Mapping):
            yield wrong(where, value, self.expected)
            return
        prefix = f"{where}." if where else ""
        settings = {setting.name: setting for setting in self.settings}
        for name, each in value.items():
            if name not in settings:
                if unknown:
                    yield f"{prefix}{printable(name)}: {self._unknown(name, settings)}"
            elif each is not None or not as_text:
                yield from self._misread(settings[name], each, f"{prefix}{name}", as_text=as_text)
        given = {name for name, each in value.items() if each is not None}
        for setting in self.settings:
            if setting.is_required and setting.name not in given:
                yield f"{prefix}{setting.name}: is missing"
        if self.also is not None:
            yield from (f"{prefix}{line}" for line in self.also(value, where))

    def _misread(
        self, setting: Setting, value: object, where: str, *, as_text: bool
    ) -> Iterator[str]:
        found = setting.kind.problems(value, where, as_text=as_text)
        if setting.secret:
            found = (f"{where}: expected {setting.kind.expected}" for _ in found)
        yield from found

    def _unknown(self, name: object, settings: Collection[str]) -> str:
        if name in self.renamed:
            return f"no such setting any more; write {self.renamed[str(name)]}"
        return f"no such setting{nearest(name, settings)}"

    def read(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `value`, of which there are no problems, gives, as programs get it."""
        return {
            setting.name: setting.kind.read(value[setting.name])
            for setting in self.settings
            if value.get(setting.name) is not None
        }

    def in_toml(self, *more: Setting) -> "Table":
        """Return the table as memfis.toml has it: what the agent uses, and `more`.

        What goes together with what is the loader's there.
        """
        chosen = tuple(each.as_in_toml for each in self.read_by("agent"))
        return replace(self, settings=(*chosen, *more), also=None)
