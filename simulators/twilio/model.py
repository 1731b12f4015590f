"""What the stand-in remembers: the account, how each number behaves, and every call."""

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any

BEHAVIOURS = ("answer", "ring", "busy", "no-answer", "failed")
_KEPT = 200


@dataclass(frozen=True, slots=True)
class Account:
    """The account that this server knows, its number, and where that number's calls go."""

    sid: str
    token: str = field(repr=False)
    number: str
    voice_url: str
    status_url: str


@dataclass(slots=True)
class Faults:
    """`refuse`: the next REST requests to call answer this error code. `slow_s`: every REST answer waits so long.
    `lose_callbacks`: so many of the next status callbacks are never sent. `double_callbacks`: each is sent twice."""

    refuse: int = 0
    slow_s: float = 0.0
    lose_callbacks: int = 0
    double_callbacks: bool = False


@dataclass(slots=True)
class Record:
    """A call as the API and the page show it."""

    sid: str
    caller: str
    called: str
    direction: str
    status: str = "queued"
    url: str = ""
    status_url: str = ""
    events: tuple[str, ...] = ()
    timeout_s: float = 60.0
    streams: int = 0
    documents: int = 0

    @property
    def far_end(self) -> str:
        """The number that is not the hub's."""
        return self.called if self.direction == "outbound-api" else self.caller

    def as_api(self, account: str) -> dict[str, Any]:
        """doc: the Call resource."""
        return {
            "sid": self.sid,
            "account_sid": account,
            "from": self.caller,
            "to": self.called,
            "direction": self.direction,
            "status": self.status,
            "api_version": "2010-04-01",
            "uri": f"/2010-04-01/Accounts/{account}/Calls/{self.sid}.json",
        }


class Memory:
    """Everything, for as long as the process lives."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.behaviours: dict[str, str] = {}
        self.faults = Faults()
        self.webhooks: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def behaviour(self, number: str) -> str:
        return self.behaviours.get(number, "answer")


def new_sid(kind: str) -> str:
    """doc: two letters and 32 hexadecimal digits."""
    return kind + secrets.token_hex(16)
