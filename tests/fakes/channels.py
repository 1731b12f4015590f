"""A channel that remembers what it was given and answers what the test says: Channel and CardChannel."""

import asyncio
from collections.abc import Callable
from itertools import count

from commhub.domain.message import Delivery
from commhub.ports.channels import Outcome, Outgoing, Refused, Sent, TryLater, Unknown

Answer = Callable[[Outgoing], Outcome]


class FakeChannel:
    """Each card gets a code that changes it once, as WeCom's do. `held` makes every request wait for `release`."""

    def __init__(self, name: str = "wecom") -> None:
        self._name = name
        self.sent: list[Outgoing] = []
        self.updates: list[Outgoing] = []
        self.on_send: Answer = self.accept
        self.on_update: Answer = self.change
        self.codes: dict[str, str] = {}
        self.most_at_once = 0
        self._at_once = 0
        self._numbers = count(1)
        self._open = asyncio.Event()
        self._open.set()

    @property
    def name(self) -> str:
        return self._name

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def send(self, outgoing: Outgoing) -> Outcome:
        self.sent.append(outgoing)
        return await self._answer(self.on_send, outgoing)

    async def update(self, outgoing: Outgoing) -> Outcome:
        self.updates.append(outgoing)
        return await self._answer(self.on_update, outgoing)

    async def _answer(self, answer: Answer, outgoing: Outgoing) -> Outcome:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self._open.wait()
            return answer(outgoing)
        finally:
            self._at_once -= 1

    # --- how it answers --------------------------------------------------------------------------------

    def accept(self, outgoing: Outgoing) -> Outcome:
        code = self.new_code(outgoing.delivery)
        return Sent(provider_id=f"msg-{outgoing.delivery.id}", response_code=code)

    def change(self, outgoing: Outgoing) -> Outcome:
        delivery = outgoing.delivery
        if delivery.response_code is None or delivery.response_code != self.codes.get(
            delivery.recipient
        ):
            return Refused(reason="60140 bad response_code")
        del self.codes[delivery.recipient]
        return Sent()

    def new_code(self, delivery: Delivery) -> str:
        """What a sent card, and every tap on it, brings."""
        code = f"code-{next(self._numbers)}"
        self.codes[delivery.recipient] = code
        return code

    # --- what it was told ------------------------------------------------------------------------------

    @property
    def recipients(self) -> list[str]:
        return [outgoing.delivery.recipient for outgoing in self.sent]

    @property
    def statuses(self) -> list[str]:
        return [str(outgoing.delivery.update["status"]) for outgoing in self.updates]


class TextChannel:
    """A channel whose messages cannot change: Channel only."""

    def __init__(self, name: str = "sms") -> None:
        self._name = name
        self.sent: list[Outgoing] = []

    @property
    def name(self) -> str:
        return self._name

    async def send(self, outgoing: Outgoing) -> Outcome:
        self.sent.append(outgoing)
        return Sent(provider_id=outgoing.delivery.id)


def busy(after_s: float | None = None) -> Answer:
    return lambda outgoing: TryLater(reason="busy", after_s=after_s)


def refusing(reason: str = "no such user") -> Answer:
    return lambda outgoing: Refused(reason=reason)


def silent() -> Answer:
    return lambda outgoing: Unknown(reason="no answer")
