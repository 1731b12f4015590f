"""Calls from lines: known by where they come from, admitted for the numbers somebody listed, refused for all others.

A line is no phone: it has no account here and cannot answer a challenge, so its address is all it proves. Whoever can
forge that address still gets nowhere but to the numbers of `inbound`, and hears nothing, because answers go to the line.
"""

import structlog

from commhub.domain.people import Endpoint, Scheme
from gateways.sip import sdp
from gateways.sip.core import Core
from gateways.sip.descriptions import read
from gateways.sip.dialogs import dialog_of_invite
from gateways.sip.errors import MalformedError, SdpError
from gateways.sip.grammar import read_uri
from gateways.sip.message import Request, clean_text
from gateways.sip.methods import refuse, refuse_description, refuse_interval
from gateways.sip.sessions import TooShortError, agree
from gateways.sip.transactions import ServerTransaction
from gateways.sip.trunks import metrics
from gateways.sip.trunks.identity import caller_of
from gateways.sip.trunks.line import Line
from gateways.sip.trunks.lines import Lines
from gateways.sip.trunks.toll import Alarm
from gateways.sip.uas import Admission

log = structlog.get_logger(__name__)

OUR_CONTACT = "commhub"
_SEPARATORS = str.maketrans("", "", " -.()")


class Arrivals:
    """Admits calls from lines."""

    def __init__(self, core: Core, lines: Lines, alarm: Alarm) -> None:
        self._core = core
        self._lines = lines
        self._alarm = alarm

    def line_of(self, transaction: ServerTransaction) -> Line | None:
        """The line an INVITE comes from. Whoever shows credentials of our realm is a phone, wherever it stands."""
        if transaction.request.get("Proxy-Authorization"):
            return None
        return self._lines.of_source(transaction.source)

    async def admit(self, transaction: ServerTransaction, line: Line) -> Admission | None:
        """The call as the core will be offered it; None when it was answered already."""
        request = transaction.request
        if line.is_full:
            self._refused(line, "full")
            refuse(self._core, transaction, 486, {"Retry-After": "10"})
            return None
        number = line.number_of(called_number(request))
        meaning = line.meaning_of(number)
        if meaning is None:
            # The number stays out of the log: it may be somebody's.
            self._refused(line, "not_listed")
            await self._alarm(
                "foreign_number", f"the line {line.name} calls numbers that are not ours"
            )
            refuse(self._core, transaction, 404, {})
            return None
        try:
            dialog = dialog_of_invite(request, transaction.to_tag, transaction.source)
            agree(request, self._core.config)
            if request.body:
                sdp.choose(read(request.body), line.terms(self._core.terms))
        except TooShortError as error:
            refuse_interval(self._core, transaction, error.min_s)
            return None
        except MalformedError as error:
            refuse(self._core, transaction, error.status, {})
            return None
        except SdpError as error:
            refuse_description(self._core, transaction, error)
            return None
        caller = caller_of(request, line)
        return Admission(
            dialog=dialog,
            caller=Endpoint(Scheme.TEL, caller.number),
            called=meaning,
            name=caller.name,
            line=line,
        )

    def _refused(self, line: Line, reason: str) -> None:
        log.warning("sip_line_call_refused", trunk=line.name, reason=reason)
        metrics.ATTEMPTS.labels(line.name, f"in_{reason}").inc()


def called_number(request: Request) -> str:
    """Whom a line calls: the Request-URI's user, or To's where the line calls the Contact we registered."""
    for uri in (request.uri, request.recipient.uri):
        try:
            user = read_uri(uri.partition("?")[0]).user or ""
        except ValueError:
            continue
        number = clean_text(user.partition(";")[0].translate(_SEPARATORS), limit=64)
        if number and number != OUR_CONTACT:
            return number
    return ""
