"""What the stand-in remembers: cards as a phone would show them, tokens, codes; and the faults switched on."""

import secrets
import time
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

CODE_LIFE_S = 72 * 3600
RECALL_WITHIN_S = 24 * 3600


class SimClock:
    """Wall time that a script can push forward, to see tokens and codes expire."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@dataclass(slots=True)
class Card:
    """One card on one person's phone. `replaced`: the text that took the buttons' place."""

    user: str
    task_id: str
    msgid: str
    body: dict[str, Any]
    sent_at: float
    replaced: str | None = None
    updates: int = 0
    recalled: bool = False
    taps: list[str] = field(default_factory=list)

    @property
    def buttons(self) -> list[dict[str, Any]]:
        """What can be tapped now."""
        if self.replaced is not None or self.recalled:
            return []
        return list(self.body.get("button_list", []))

    def as_json(self) -> dict[str, Any]:
        title = self.body.get("main_title", {})
        return {
            "task_id": self.task_id,
            "msgid": self.msgid,
            "sent_at": self.sent_at,
            "title": title.get("title", ""),
            "desc": title.get("desc", ""),
            "text": self.body.get("sub_title_text", ""),
            "fields": self.body.get("horizontal_content_list", []),
            "buttons": self.buttons,
            "replaced": self.replaced,
            "updates": self.updates,
            "recalled": self.recalled,
            "taps": self.taps,
        }


@dataclass(slots=True)
class Text:
    """A text on a phone; `mine`: the person wrote it to the app."""

    user: str
    msgid: str
    content: str
    at: float
    mine: bool = False


@dataclass(slots=True)
class Code:
    """A response code: who may be updated with it, for which card, until when."""

    task_id: str
    made_at: float
    used: bool = False


@dataclass(slots=True)
class Faults:
    """Switched on by `POST /do/fault`; counts go down as they strike."""

    duplicate: int = 0
    reorder: int = 0
    drop: int = 0
    hang: int = 0
    hang_where: str = ""
    """Only calls whose body holds this text hang; empty: any call."""
    error_code: int = 0
    error_times: int = 0


@dataclass(slots=True)
class Memory:
    """All of it. Lists are in the order of arrival."""

    clock: SimClock = field(default_factory=SimClock)
    tokens: dict[str, float] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    cards: list[Card] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    codes: dict[str, Code] = field(default_factory=dict)
    per_member: dict[str, deque[float]] = field(default_factory=dict)
    webhook_times: deque[float] = field(default_factory=deque)
    webhook_messages: list[dict[str, Any]] = field(default_factory=list)
    fingerprints: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    callbacks: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=100))
    faults: Faults = field(default_factory=Faults)
    dropped: int = 0
    tokens_issued: int = 0
    # None: everybody exists.
    known_users: set[str] | None = None

    def forget(self) -> None:
        """Start anew, as after a restart; the people who exist stay."""
        fresh = Memory(known_users=self.known_users)
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    def new_code(self, task_id: str) -> str:
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(task_id, self.clock.now())
        return code

    def card(self, user: str, task_id: str | None) -> Card:
        """The named card, or the person's newest one. Raises ValueError."""
        for card in reversed(self.cards):
            if card.user == user.lower() and task_id in (None, card.task_id):
                return card
        raise ValueError(f"{user} has no such card")

    def as_json(self) -> dict[str, Any]:
        users: dict[str, dict[str, list[Any]]] = {}

        def phone(user: str) -> dict[str, list[Any]]:
            return users.setdefault(user, {"cards": [], "texts": []})

        for user in sorted(self.known_users or ()):
            phone(user)
        for card in self.cards:
            phone(card.user)["cards"].append(card.as_json())
        for text in self.texts:
            phone(text.user)["texts"].append(
                {"content": text.content, "at": text.at, "mine": text.mine}
            )
        return {
            "users": users,
            "callbacks": list(self.callbacks),
            "webhook": self.webhook_messages,
            "dropped": self.dropped,
            "tokens_issued": self.tokens_issued,
        }
