"""What is wrong with a rule file, said so that its author finds the place."""

from dataclasses import dataclass

from commhub.domain.errors import InvalidError


@dataclass(frozen=True, slots=True)
class Flaw:
    """One fault. `row` counts from 1 as people do; `column` is the name in `when` or `then`."""

    file: str
    message: str
    table: str | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = [self.file]
        if self.table is not None:
            place.append(f"table {self.table}")
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"cell {self.column}")
        return f"{', '.join(place)}: {self.message}"


class RuleFileError(InvalidError):
    """The file is not taken over. `flaws` are all that were found, not only the first."""

    code = "broken-rules"

    def __init__(self, flaws: tuple[Flaw, ...]) -> None:
        super().__init__("; ".join(map(str, flaws)), flaws=[str(flaw) for flaw in flaws])
        self.flaws = flaws
