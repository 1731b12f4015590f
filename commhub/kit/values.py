"""Frozen values that are made by the hundred for every call.

A frozen dataclass guards itself while it is made as well: each field is set by way of `object.__setattr__`, and that costs four
times what setting it does. mypy refuses whoever would change such a value anyway, so those that are made most often go
without the guard at run time. All others keep it.
"""

from dataclasses import MISSING, field, fields, make_dataclass
from typing import Any, TypeVar

T = TypeVar("T")


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
    return frozen


def _again(one: Any) -> Any:
    """The same field for another class."""
    kept: dict[str, Any] = {"init": one.init, "kw_only": one.kw_only}
    if one.default is not MISSING:
        kept["default"] = one.default
    elif one.default_factory is not MISSING:
        kept["default_factory"] = one.default_factory
    return field(**kept)
