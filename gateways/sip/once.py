"""A value that is made when it is first asked for, and kept.

As `functools.cached_property`, which in Python 3.11 takes a lock each time one is made; messages belong to one thread,
and six of their values are made for each of them.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - it is used as a decorator
    """What the method returns, an attribute of the object from then on; it may be set as well."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, of: None, owner: type) -> "once[T]": ...

    @overload
    def __get__(self, of: object, owner: type) -> T: ...

    def __get__(self, of: object | None, owner: type) -> "once[T] | T":
        if of is None:
            return self
        value = of.__dict__[self._name] = self._make(of)
        return value
