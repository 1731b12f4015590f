"""The header fields of a message, found by name without looking at the others.

Every message is looked into some twenty times (RFC 3261 §8.2, §17.2.3, §12), so the fields are keyed by their name in
lower case; the spelling that came first and the order of the names are kept, because a message goes back as it came.
"""


class Headers:
    """Names to values, each name with all its values in their order. Names are compared without regard to case
    (§7.3.1); compact forms are the reader's business."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, tuple[str, list[str]]] = {}

    def add(self, name: str, value: str) -> None:
        """One more value, behind those the name has."""
        key = name.lower()
        found = self._fields.get(key)
        if found is None:
            self._fields[key] = (name, [value])
        else:
            found[1].append(value)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value, or `default`."""
        found = self._fields.get(name.lower())
        return default if found is None else found[1][0]

    def getlist(self, name: str) -> list[str]:
        """All values, empty when there are none; not to be changed."""
        found = self._fields.get(name.lower())
        return [] if found is None else found[1]

    def set(self, name: str, value: str) -> None:
        """This value in the place of all there were."""
        self._fields[name.lower()] = (name, [value])

    def setlist(self, name: str, values: list[str]) -> None:
        """These values in the place of all there were; at least one."""
        self._fields[name.lower()] = (name, values)

    def remove(self, name: str) -> None:
        """Without the name, which need not be there."""
        self._fields.pop(name.lower(), None)

    def keys(self) -> list[str]:
        """The names as they were first written."""
        return [name for name, _ in self._fields.values()]

    def more_than_once(self, names: tuple[str, ...]) -> str | None:
        """The first of `names` (in lower case) that has several values."""
        for name in names:
            found = self._fields.get(name)
            if found is not None and len(found[1]) > 1:
                return found[0]
        return None

    def __str__(self) -> str:
        lines = [
            f"{name}: {value}\r\n" for name, values in self._fields.values() for value in values
        ]
        return "".join(lines) + "\r\n"
