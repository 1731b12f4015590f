"""Keeps what is known of a line true: registers there and stays registered, and asks now and then whether it is there.

Two loops a line, so that a registrar that takes its time does not hide that the line is dead.
"""

import asyncio
import random

import structlog

from commhub.kit.clock import Clock
from commhub.kit.supervise import Doorbell
from gateways.sip.core import Core
from gateways.sip.errors import MalformedError, SipError
from gateways.sip.message import Response, clean_text
from gateways.sip.trunks.asking import ABSENT, Asker, Whereabouts
from gateways.sip.trunks.line import Line
from gateways.sip.trunks.toll import Alarm

log = structlog.get_logger(__name__)

# Well before it runs out, and never all lines of a hub in one moment.
_REFRESH_AT = (0.75, 0.9)
_SOONEST_S = 1.0
_PROBE_WITHIN_S = 5.0
_FORGIVEN_AFTER_S = 30.0
_REGISTER_WITHIN_S = 32.0
# RFC 5626 §4.5: doubling from the base to the most, each wait at random from its upper half.
_BACKOFF_BASE_S = 5.0
_BACKOFF_MOST_S = 600.0


class LineKeeper:
    """`loud` tells the desk of a line that goes or comes back."""

    def __init__(
        self, core: Core, line: Line, clock: Clock, alarm: Alarm, whereabouts: Whereabouts
    ) -> None:
        self._line = line
        self._clock = clock
        self._whereabouts = whereabouts
        self._alarm = alarm
        self._registering = Asker(core, line, whereabouts)
        self._probing = Asker(core, line, whereabouts)
        self._register_for_s = line.config.register_for_s
        self._good_until = 0.0
        self._failures = 0
        self._probe_bell = Doorbell()

    # --- OPTIONS -------------------------------------------------------------------------------------------------

    def suspect(self) -> None:
        """A call got no answer: look now, not when it is due."""
        self._probe_bell.ring()

    async def keep_probing(self) -> None:
        """OPTIONS at a steady pace (RFC 3261 §11), until cancelled; at once when the line is suspected. A line that is
        never asked is forgiven a call without an answer after a while."""
        every_s = self._line.config.probe_every_s
        while every_s:
            await self.probe()
            await self._probe_bell.wait(every_s * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, not a secret
        while True:
            await self._locate()
            await self._probe_bell.wait(_FORGIVEN_AFTER_S)
            if self._line.reachable is False:
                await asyncio.sleep(_FORGIVEN_AFTER_S)
                self._line.is_forgiven()

    async def _locate(self) -> None:
        """Nobody asks the line anything, and its calls have to be known all the same."""
        try:
            await self._whereabouts.places(self._line)
        except SipError as error:
            log.info("sip_line_not_located", trunk=self._line.name, reason=str(error))

    async def probe(self) -> None:
        """Ask once and note the outcome."""
        own = self._line.config.username or "commhub"
        try:
            response = await self._probing.ask("OPTIONS", own, _PROBE_WITHIN_S)
        except SipError as error:
            await self.missed(str(error))
            return
        if response.status in ABSENT:
            await self.missed(_said(response))
        else:
            await self.heard()

    async def heard(self) -> None:
        if self._line.is_heard():
            log.info("sip_trunk_up", trunk=self._line.name)

    async def missed(self, why: str) -> None:
        if self._line.is_missed(why):
            log.warning("sip_trunk_down", trunk=self._line.name, reason=why)
            await self._alarm("line_down", f"the line {self._line.name} does not answer: {why}")

    # --- REGISTER ------------------------------------------------------------------------------------------------

    async def keep_registered(self) -> None:
        """Register and refresh until cancelled (RFC 3261 §10.2); nothing to do for a line known by address."""
        waiting = Doorbell()
        while True:
            await waiting.wait(await self.register())

    async def register(self) -> float:
        """Register once; after how many seconds again."""
        headers = (("Contact", "<sip:commhub>"), ("Expires", str(self._register_for_s)))
        name = self._line.config.username
        try:
            response = await self._registering.ask("REGISTER", name, _REGISTER_WITHIN_S, headers)
        except SipError as error:
            return await self._not_registered(str(error), None)
        if response.status == 423:
            return await self._longer(response)
        if not 200 <= response.status < 300:
            return await self._not_registered(_said(response), _number(response, "Retry-After"))
        return self._is_registered(response)

    async def _longer(self, response: Response) -> float:
        """Too brief for them: ask for what they want (§10.2.8)."""
        least = _number(response, "Min-Expires") or 0
        if not self._register_for_s < least <= 86_400:
            return await self._not_registered(_said(response), None)
        self._register_for_s = least
        return 0.0

    def _is_registered(self, response: Response) -> float:
        granted = _granted(response, self._register_for_s)
        if self._failures or not self._line.registered:
            log.info("sip_trunk_registered", trunk=self._line.name, expires_s=granted)
        self._failures = 0
        self._good_until = self._clock.monotonic() + granted
        self._line.knows_us(yes=True)
        return max(granted * random.uniform(*_REFRESH_AT), _SOONEST_S)  # noqa: S311 - jitter, not a secret

    async def _not_registered(self, why: str, retry_after_s: int | None) -> float:
        self._failures += 1
        wait = backoff_s(self._failures, retry_after_s)
        log.warning(
            "sip_trunk_not_registered", trunk=self._line.name, reason=why, again_in_s=round(wait)
        )
        still_good = self._line.registered and self._clock.monotonic() < self._good_until
        if not still_good:
            self._line.knows_us(yes=False, why=why)
            await self._alarm(
                "line_not_registered", f"the line {self._line.name} does not register us: {why}"
            )
        return wait


def backoff_s(failures: int, retry_after_s: int | None) -> float:
    """How long to wait after so many failures in a row; never less than the far end asked for (§21.5.4)."""
    most = min(_BACKOFF_BASE_S * 2 ** min(failures - 1, 16), _BACKOFF_MOST_S)
    return max(random.uniform(most / 2, most), float(retry_after_s or 0))  # noqa: S311 - jitter, not a secret


def _granted(response: Response, asked: int) -> float:
    """For how long: the Contact's own parameter, the header, or what we asked for (§10.2.4). With several contacts the
    shortest, because one of them is ours."""
    try:
        own = [address.parameters.get("expires") for address in response.addresses("Contact")]
        seconds = [int(text) for text in own if text and text.isdecimal()]
    except MalformedError:
        seconds = []
    return float(max(min(seconds, default=_number(response, "Expires") or asked), 2))


def _number(response: Response, name: str) -> int | None:
    """A numeric header; Retry-After may have a comment behind it (§20.33)."""
    digits = response.get(name).partition("(")[0].partition(";")[0].strip()
    return int(digits) if digits.isdecimal() and len(digits) < 10 else None


def _said(response: Response) -> str:
    return f"{response.status} {clean_text(response.reason)}".strip()
