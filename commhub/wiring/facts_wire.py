"""Facts as text between the processes of one hub."""

import json
from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from commhub.domain.facts import Fact


def _all_kinds(base: type[Fact]) -> Iterator[type[Fact]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _all_kinds(kind)


class FactsWire:
    """Encodes every kind of fact there is, by its class name."""

    def __init__(self) -> None:
        self._adapters = {kind.__name__: TypeAdapter(kind) for kind in _all_kinds(Fact)}

    def encode(self, fact: Fact) -> str:
        name = type(fact).__name__
        return json.dumps(
            [name, self._adapters[name].dump_python(fact, mode="json")], ensure_ascii=False
        )

    def decode(self, text: str) -> Fact | None:
        """The fact, or None for a kind or shape this process does not know."""
        try:
            name, body = json.loads(text)
            return self._adapters[name].validate_python(body)
        except (ValueError, KeyError, TypeError, ValidationError):
            return None
