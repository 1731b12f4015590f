"""The header fields of a message, found by name without looking at the others.

Every message is looked into some twenty times (RFC 3261 §8.2, §17.2.3, §12), so the fields are keyed by their name in
lower case; the spelling that came first and the order of the names are kept, because a message goes back as it came.
A field is one tuple of texts: a busy hub keeps half a million of them for transactions that linger (§17), and of what
cannot be part of a ring the garbage collector has to walk nothing.
"""

from collections.abc import Iterable

Fields = dict[str, tuple[str, ...]]
"""By name in lower case: the name as it is written, then its values."""


class Headers:
    """Names to values, each name with all its values in their order. Names are compared without regard to case
    (§7.3.1); compact forms are the reader's business. A response shares the fields of its request."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields | None = None) -> None:
        self._fields: Fields = {} if fields is None else fields

    def add(self, name: str, value: str) -> None:
        """One more value, behind those the name has."""
        self.add_all(((name, value),))

    def add_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, each behind those its name has."""
        fields = self._fields
        for name, value in pairs:
            found = fields.get(key := name.lower())
            fields[key] = (name, value) if found is None else (*found, value)

    def take(self, others: "Headers", key: str) -> None:
        """The field of this name (in lower case) as others have it, in the place of ours."""
        if (found := others._fields.get(key)) is not None:
            self._fields[key] = found

    def take_first(self, others: "Headers", keys: tuple[str, ...]) -> None:
        """The same for several names, with the first value of each alone."""
        theirs = others._fields
        for key in keys:
            if (found := theirs.get(key)) is not None:
                self._fields[key] = found if len(found) == 2 else found[:2]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value, or `default`."""
        found = self._fields.get(name.lower())
        return default if found is None else found[1]

    def first(self, key: str) -> str:
        """The first value for whoever knows the name in lower case; empty when there is none."""
        found = self._fields.get(key)
        return "" if found is None else found[1]

    def getlist(self, name: str) -> list[str]:
        """All values, empty when there are none."""
        found = self._fields.get(name.lower())
        return [] if found is None else list(found[1:])

    def set(self, name: str, value: str) -> None:
        """This value in the place of all there were."""
        self._fields[name.lower()] = (name, value)

    def setlist(self, name: str, values: list[str]) -> None:
        """These values in the place of all there were; at least one."""
        self._fields[name.lower()] = (name, *values)

    def remove(self, name: str) -> None:
        """Without the name, which need not be there."""
        self._fields.pop(name.lower(), None)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._fields

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._fields)

    def keys(self) -> list[str]:
        """The names as they were first written."""
        return [field[0] for field in self._fields.values()]

    def more_than_once(self, keys: tuple[str, ...]) -> list[str]:
        """Which of these names (in lower case) have several values."""
        found = (self._fields.get(key) for key in keys)
        return [one[0] for one in found if one is not None and len(one) > 2]

    def __str__(self) -> str:
        lines = [
            f"{field[0]}: {value}\r\n" for field in self._fields.values() for value in field[1:]
        ]
        return "".join(lines) + "\r\n"
