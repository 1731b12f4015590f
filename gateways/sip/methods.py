"""What every request is judged by before anybody acts on it (RFC 3261 §8.2), and the answers that need no state."""

from commhub.domain.errors import InvalidError
from gateways.sip.core import ALLOW, SUPPORTED, Core, respond_ok
from gateways.sip.errors import MalformedError, SdpError
from gateways.sip.grammar import quote_string, read_uri, scheme_of
from gateways.sip.message import Request
from gateways.sip.transactions import ServerTransaction

# Methods the IANA registry knows and this hub does not offer: 405; anything else is 501 (§8.2.1, §21.5.2).
_FOREIGN = frozenset({"PUBLISH"})
_OWN = frozenset(ALLOW.split(", "))
_WITH_SDP = frozenset({"INVITE", "UPDATE", "PRACK"})
_EXTENSIONS = frozenset(SUPPORTED.split(", "))
ACCEPT = "application/sdp"


def judge(request: Request) -> tuple[int, dict[str, str]] | None:
    """A refusal (status, headers) for a request that nobody here can serve, None when it is in order."""
    if request.method not in _OWN:
        return (405, {"Allow": ALLOW}) if request.method in _FOREIGN else (501, {"Allow": ALLOW})
    try:
        read_uri(request.uri.partition("?")[0])
        if "?" in request.uri:
            # Headers have no place in a Request-URI (§19.1.1, RFC 4475 §3.1.2.11).
            return (400, {})
    except ValueError:
        known = scheme_of(request.uri) in ("sip", "sips", "tel")
        return (400, {}) if known else (416, {})
    if request.method == "REGISTER" and scheme_of(request.recipient.uri) not in ("sip", "sips"):
        return (400, {})  # An address-of-record is a SIP or SIPS URI (§10.3, RFC 4475 §3.3.4).
    unknown = [tag for tag in request.tokens("Require") if tag not in _EXTENSIONS]
    if request.method != "CANCEL" and unknown:
        return (420, {"Unsupported": ", ".join(unknown)})  # §8.2.2.3
    return _judge_body(request)


def _judge_body(request: Request) -> tuple[int, dict[str, str]] | None:
    if request.method == "INVITE" and not _takes_sdp(request):
        return (406, {"Accept": ACCEPT})  # RFC 4475 §3.3.15
    if request.method not in _WITH_SDP or not request.body:
        return None
    encodings = set(request.tokens("Content-Encoding")) - {"identity"}
    if encodings:
        return (415, {"Accept-Encoding": "identity"})
    if request.content_type != ACCEPT:
        optional = "optional" in request.get("Content-Disposition").lower()
        return None if optional else (415, {"Accept": ACCEPT})
    return None


def _takes_sdp(request: Request) -> bool:
    """Whether the answer may hold a description (§20.1: without Accept it may; an empty one takes nothing)."""
    if "Accept" not in request.headers:
        return True
    kinds = {token.partition(";")[0].strip() for token in request.tokens("Accept")}
    return bool(kinds & {ACCEPT, "application/*", "*/*"})


def refuse(
    core: Core, transaction: ServerTransaction, status: int, headers: dict[str, str]
) -> None:
    """A refusal with headers."""
    respond(core, transaction, status, headers)


def respond(
    core: Core, transaction: ServerTransaction, status: int, headers: dict[str, str]
) -> None:
    """A final response with headers and no body."""
    extra = [*headers.items(), ("User-Agent", core.user_agent)]
    response = transaction.request.response(status, to_tag=transaction.to_tag, headers=extra)
    transaction.respond(response)


def refuse_description(
    core: Core, transaction: ServerTransaction, error: SdpError | InvalidError
) -> None:
    """400 or 488 with the reason in words, for the log of whoever set the phone up (§20.43)."""
    status = error.status if isinstance(error, SdpError) else 488
    warning = f"399 {core.authority} {quote_string(str(error))}"
    refuse(core, transaction, status, {"Warning": warning, "Accept": ACCEPT})


def refuse_interval(core: Core, transaction: ServerTransaction, min_s: int) -> None:
    """422: the session timer is too short (RFC 4028 §6)."""
    refuse(core, transaction, 422, {"Min-SE": str(min_s)})


def answer_plainly(core: Core, transaction: ServerTransaction) -> None:
    """OPTIONS tells what we can (§11.2); whatever else comes here is not for this place."""
    if transaction.request.method == "OPTIONS":
        respond_ok(
            core,
            transaction,
            [
                ("Contact", core.wires.contact(transaction.source)),
                ("Allow", ALLOW),
                ("Supported", SUPPORTED),
                ("Accept", ACCEPT),
            ],
        )
    else:
        refuse(core, transaction, 405, {"Allow": ALLOW})


def malformed_answer(request: Request, error: MalformedError) -> bytes | None:
    """The stateless answer to a request that cannot be read; None when it has no usable Via (or is an ACK)."""
    if request.method == "ACK":
        return None
    reason = str(error).encode("ascii", "replace").decode()
    return bytes(
        request.response(error.status, to_tag="malformed", reason=_phrase(error.status, reason))
    )


def _phrase(status: int, reason: str) -> str | None:
    return f"Bad Request ({reason})" if status == 400 else None
