"""Session timers (RFC 4028): a dialog that nobody refreshes in time is over, so a phone that vanished does not stay on
the line. What is agreed is a frozen `Session`; `refreshing` keeps its deadlines for a leg.

A phone that knows nothing of timers is refreshed by us all the same (§9): its silence ends the leg.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from commhub.kit.values import quick
from gateways.sip.config import SipConfig
from gateways.sip.errors import MalformedError
from gateways.sip.grammar import read_number, read_parameters, split_outside
from gateways.sip.message import Message, Request, Response

TIMER = "timer"
TOO_SMALL = 422
MIN_SE_S = 90
"""What no Min-SE may be below (§5), and what counts where none is given."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An agreed timer. `ours`: we are the refresher; `by_update`: the far end allows UPDATE (RFC 3311); `min_s` is
    the largest Min-SE that was heard for the dialog."""

    interval_s: int
    ours: bool = True
    by_update: bool = False
    min_s: int = 0

    @property
    def ends_after_s(self) -> float:
        """When who does not refresh hangs up: a little before the end, for messages under way (§10)."""
        return float(
            self.interval_s if self.ours else self.interval_s - min(32, self.interval_s / 3)
        )

    def to_json(self) -> list[int]:
        return [self.interval_s, int(self.ours), int(self.by_update), self.min_s]

    @classmethod
    def from_json(cls, state: object) -> "Session | None":
        """What `to_json` wrote; None for anything else, such as the row of a version without timers."""
        if not isinstance(state, list | tuple) or len(state) != 4:
            return None
        return cls(
            interval_s=int(state[0]),
            ours=bool(state[1]),
            by_update=bool(state[2]),
            min_s=int(state[3]),
        )


@dataclass(frozen=True, slots=True)
class Again:
    """A timer that has to be asked for at once: in another way, or longer."""

    session: Session


class TooShortError(MalformedError):
    """A session interval below our minimum: 422 with Min-SE (§9)."""

    def __init__(self, min_s: int) -> None:
        super().__init__("the session interval is too small", TOO_SMALL)
        self.min_s = min_s


def agree(request: Request, config: SipConfig, running: Session | None = None) -> Session:
    """The timer of a session that `request` (INVITE, UPDATE) asks for or refreshes. Raises TooShortError and, for an
    unreadable header, MalformedError."""
    wanted, refresher = _session_expires(request)
    min_s = max(_min_se(request), running.min_s if running else 0)
    if wanted is not None and wanted < config.min_session_s:
        raise TooShortError(config.min_session_s)
    interval = min(wanted or config.session_s, config.session_s)
    knows = wanted is not None or TIMER in request.tokens("Supported") + request.tokens("Require")
    if not knows:
        ours = True
    elif refresher is None:
        # Whoever refreshed goes on doing so (§9); at first the phone, which then also keeps its NAT open.
        ours = running.ours if running else False
    else:
        ours = refresher == "uas"
    return Session(
        interval_s=max(interval, min_s, config.min_session_s),
        ours=ours,
        by_update=_takes_update(request, running),
        min_s=min_s,
    )


def answer_headers(request: Request, session: Session) -> list[tuple[str, str]]:
    """What a 2xx says of the timer: Require only where the asker must refresh (§9)."""
    refresher = "uas" if session.ours else "uac"
    headers = [("Session-Expires", f"{session.interval_s};refresher={refresher}")]
    if not session.ours and TIMER in request.tokens("Supported"):
        headers.append(("Require", TIMER))
    return headers


def request_headers(config: SipConfig, session: Session | None = None) -> list[tuple[str, str]]:
    """What an INVITE or UPDATE of ours asks for: the running timer, or one to be agreed on (§7.1)."""
    if session is None:
        return [("Session-Expires", str(config.session_s)), ("Min-SE", str(config.min_session_s))]
    refresher = "uac" if session.ours else "uas"
    least = max(session.min_s, config.min_session_s)
    return [
        ("Session-Expires", f"{session.interval_s};refresher={refresher}"),
        ("Min-SE", str(least)),
    ]


def agreed(response: Response, config: SipConfig, running: Session | None = None) -> Session:
    """The timer after a 2xx to our request. Without the header the far end has no timer, and we refresh (§7.2).
    What cannot be read counts as not said: the call is there."""
    try:
        interval, refresher = _session_expires(response)
    except MalformedError:
        interval, refresher = None, None
    fallback = running.interval_s if running else config.session_s
    return Session(
        # An answer may not go below what we called the least; one that does would make us busy refreshing.
        interval_s=max(interval or fallback, config.min_session_s),
        ours=interval is None or refresher != "uas",
        by_update=_takes_update(response, running),
        min_s=running.min_s if running else 0,
    )


def raised(response: Response, session: Session) -> Again | None:
    """The timer to ask for after a 422 (§7.3); None when it names no larger one."""
    try:
        least = response.number("Min-SE")
    except MalformedError:
        return None
    if least is None or not session.interval_s < least <= 86_400:
        return None
    return Again(replace(session, interval_s=least, min_s=least))


def proposed(invite: Request, config: SipConfig) -> Session:
    """The timer an INVITE of ours asked for."""
    asked = read_number(invite.get("Session-Expires") or "0") or config.session_s
    least = read_number(invite.get("Min-SE") or "0")
    return Session(interval_s=asked, min_s=least if least > config.min_session_s else 0)


def longer_invite(invite: Request, response: Response) -> Request | None:
    """The INVITE once more with the interval a 422 asks for (§7.3): same Call-ID, next CSeq. None when it asks for
    nothing longer."""
    asked = read_number(invite.get("Session-Expires") or "0")
    longer = raised(response, Session(interval_s=asked))
    if longer is None:
        return None
    again = Request(invite.method, invite.uri, body=invite.body)
    for name in invite.headers.keys():  # noqa: SIM118 - a list of names, not a mapping
        again.headers.setlist(name, invite.headers.getlist(name))
    again.headers.set("CSeq", f"{invite.cseq.sequence + 1} {invite.method}")
    for name in ("Session-Expires", "Min-SE"):
        again.headers.set(name, str(longer.session.interval_s))
    return again


def _session_expires(message: Message) -> tuple[int | None, str | None]:
    value = message.get("Session-Expires")
    if not value:
        return None, None
    try:
        number, *pieces = split_outside(value, ";")
        parameters: Mapping[str, str | None] = read_parameters(pieces)
        refresher = (parameters.get("refresher") or "").lower()
        return read_number(number), refresher if refresher in ("uac", "uas") else None
    except ValueError as error:
        raise MalformedError(f"Session-Expires: {error}") from error


def _min_se(message: Message) -> int:
    value = message.get("Min-SE").partition(";")[0]
    try:
        return read_number(value, 86_400) if value else 0
    except ValueError as error:
        raise MalformedError(f"Min-SE: {error}") from error


def _takes_update(message: Message, running: Session | None) -> bool:
    if not message.headers.getlist("Allow"):
        return running.by_update if running else False
    return "update" in message.tokens("Allow")
