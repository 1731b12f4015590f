"""Frozen values that are made by the hundred for every call.

A frozen dataclass guards itself while it is made as well: each field is set by way of `object.__setattr__`, and that costs four
times what setting it does. mypy refuses whoever would change such a value anyway, so those that are made most often go
without the guard at run time. All others keep it. `replace` is theirs, too: `dataclasses.replace` asks each field of a value what
it is and whether it changes, and takes ten times as long as making the value did.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, field, fields, make_dataclass
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Copier:
    """How a value of one class is made again: what reads all its fields, and what fills them in that order."""

    names: frozenset[str]
    read: Callable[[Any], tuple[Any, ...]]
    fill: Callable[..., None]
    check: Callable[[Any], None] | None
    """The class's own `__post_init__`."""


_COPIERS: dict[type, _Copier] = {}


def quick(frozen: type[T]) -> type[T]:
    """Above `@dataclass(frozen=True)`: the same class, made as fast as one that is not frozen. Still frozen for mypy, for its
    hash and for whoever inherits from it."""
    after = getattr(frozen, "__post_init__", None)
    twin = make_dataclass(
        frozen.__name__,
        [(one.name, Any, _again(one)) for one in fields(frozen)],  # type: ignore[arg-type]  # mypy knows no bound for "a dataclass"
        namespace={} if after is None else {"__post_init__": after},
    )
    for name, value in (
        ("__init__", vars(twin)["__init__"]),
        # The guard; only without both of them is a field set directly.
        ("__setattr__", object.__setattr__),
        ("__delattr__", object.__delattr__),
    ):
        setattr(frozen, name, value)
    names = [one.name for one in fields(frozen)]  # type: ignore[arg-type]  # mypy knows no bound for "a dataclass"
    if len(names) > 1 and all(one.init for one in fields(frozen)):  # type: ignore[arg-type]  # mypy knows no bound for "a dataclass"
        bare = make_dataclass(frozen.__name__, names)
        fill = vars(bare)["__init__"]
        _COPIERS[frozen] = _Copier(frozenset(names), attrgetter(*names), fill, after)
    return frozen


def replace(value: T, /, **changes: Any) -> T:
    """As `dataclasses.replace`. Raises TypeError for a field that the value has not."""
    copier = _COPIERS.get(type(value))
    if copier is None:
        return dataclasses.replace(value, **changes)  # type: ignore[type-var]  # mypy knows no bound for "a dataclass"
    if not copier.names.issuperset(changes):
        raise TypeError(
            f"a {type(value).__name__} has no {', '.join(changes.keys() - copier.names)}"
        )
    made = object.__new__(type(value))
    copier.fill(made, *copier.read(value))
    for name, new in changes.items():
        setattr(made, name, new)
    if copier.check is not None:
        copier.check(made)
    return made


def _again(one: Any) -> Any:
    """The same field for another class."""
    kept: dict[str, Any] = {"init": one.init, "kw_only": one.kw_only}
    if one.default is not MISSING:
        kept["default"] = one.default
    elif one.default_factory is not MISSING:
        kept["default_factory"] = one.default_factory
    return field(**kept)
