"""Parts that other installed packages add to outlast's tables by entry points, each loaded when it is asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, MutableMapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from outlast.errors import InputError

Part = TypeVar("Part")


class Table(MutableMapping[str, Part]):
    """Parts by name: outlast's own, and those that installed packages name in the entry points of a group.

    Names are read from the packages' metadata; a part is loaded when it is asked for. So a package that is broken
    harms only those who ask for its part.

    Attributes:
        group: of the entry points, such as ``outlast.interventions``.
        own: outlast's own parts.
    """

    def __init__(self, group: str, own: Mapping[str, Part]) -> None:
        self.group = group
        self.own: dict[str, Part] = dict(own)

    def __getitem__(self, name: str) -> Part:
        return self.own[name] if name in self.own else loaded(self._others()[name])

    def __setitem__(self, name: str, part: Part) -> None:
        self.own[name] = part

    def __delitem__(self, name: str) -> None:
        del self.own[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *(name for name in self._others() if name not in self.own)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._others()

    def _others(self) -> dict[str, EntryPoint]:
        return _named(self.group)


@functools.cache
def _named(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name; a name that two packages give stands for neither."""
    found: dict[str, EntryPoint] = {}
    for each in entry_points(group=group):
        if each.name in found and found[each.name].value != each.value:
            raise InputError(
                f"two installed packages that both name {each.name!r} in {group}: {each.value} and "
                f"{found[each.name].value}",
                "one package a name",
                "uninstall one of them",
            )
        found[each.name] = each
    return found


def loaded(point: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        InputError: it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:
        package = point.dist.name if point.dist is not None else "a package"
        raise InputError(
            f"{point.name!r} of {package} ({point.value}), which cannot be loaded ({type(error).__name__}: {error})",
            f"an entry point of {point.group} that can be imported",
            f"mend or uninstall {package}",
        ) from error
