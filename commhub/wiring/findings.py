"""What a check of `commhub doctor` says."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do when it is not well."""

    check: str
    verdict: Verdict
    found: str
    hint: str = ""
