"""Digest authentication, the client's side (RFC 3261 §22, RFC 7616, RFC 8760): what a line's far end asks of us.

The password proves itself only to the one realm the settings name. A challenge of any other realm is somebody who wants
a digest to guess the password from, so it gets none.
"""

import secrets
from dataclasses import dataclass

import structlog

from commhub.ports.edge_store import SipAccount
from gateways.sip.digest import ALGORITHMS, Credentials, digest_response, hash_account
from gateways.sip.grammar import quote_string, read_auth
from gateways.sip.message import Request, Response

log = structlog.get_logger(__name__)

CHALLENGES = frozenset({401, 407})
MOST_ANSWERS = 2
"""To one request: an answer to its challenge, and one more because the nonce may have been old."""

# Which header answers which status (RFC 3261 §22.2, §22.3).
_HEADERS = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}


@dataclass(slots=True)
class _Challenge:
    """A nonce and what was said with it; `proved` once an answer to it was accepted."""

    header: str
    nonce: str
    algorithm: str
    qop: str
    opaque: str
    uses: int = 0
    proved: bool = False


class LineCredentials:
    """One name and password for one realm, with the challenge that was last answered."""

    def __init__(self, username: str, password: str, realm: str) -> None:
        self._realm = realm
        self._account: SipAccount | None = None
        if username and password:
            self._account = hash_account(username, realm, password)
        self._challenge: _Challenge | None = None

    def sign(self, request: Request) -> None:
        """Put credentials on a request before anybody asks, where the last challenge still holds: that saves a round
        trip, and a BYE the question whether its challenge will be answered at all."""
        if self._challenge is not None and self._challenge.proved:
            self._write(request, self._challenge)

    def accepted(self, request: Request) -> None:
        """The far end took this request's credentials."""
        challenge = self._challenge
        if challenge is not None and challenge.nonce in request.get(challenge.header):
            challenge.proved = True

    def answer(self, refused: Request, response: Response, again: Request) -> str | None:
        """Put the answer to the challenge in `response` on `again`; the reason why not when there is none. `refused` is
        what was challenged: credentials that were refused once are not offered again (RFC 3261 §22.2)."""
        challenged, header = _HEADERS[response.status]
        if self._account is None:
            return "the far end asks for a password, and none is set"
        challenge, stale = self._choose(response.headers.getlist(challenged), header)
        if challenge is None:
            return f"the far end asks for credentials of another realm than {self._realm}"
        known = self._challenge
        offered = refused.get(header)
        if known is not None and known.nonce in offered and not known.proved and not stale:
            return "the far end refused our name or password"
        self._challenge = challenge
        self._write(again, challenge)
        return None

    def _choose(self, values: list[str], header: str) -> tuple[_Challenge | None, bool]:
        """The first challenge that we can answer (RFC 8760 §2.4: they stand in the order of the server's preference),
        and whether it only says that the nonce was old."""
        foreign = 0
        for value in values:
            try:
                scheme, found = read_auth(value)
            except ValueError:
                continue
            algorithm = found.get("algorithm", "MD5").upper()
            qops = [
                word.strip().lower() for word in found.get("qop", "").split(",") if word.strip()
            ]
            if scheme != "digest" or not found.get("nonce") or algorithm not in ALGORITHMS:
                continue
            qop = next((qop for qop in ("auth", "auth-int") if qop in qops), "")
            if qops and not qop:
                continue
            if found.get("realm") != self._realm:
                foreign += 1
                continue
            challenge = _Challenge(
                header=header,
                nonce=found["nonce"],
                algorithm=algorithm,
                qop=qop,
                opaque=found.get("opaque", ""),
            )
            return challenge, found.get("stale", "").lower() == "true"
        if foreign:
            log.warning("sip_foreign_realm", expected=self._realm, challenges=foreign)
        return None, False

    def _write(self, request: Request, challenge: _Challenge) -> None:
        account = self._account
        if account is None:
            return
        challenge.uses += 1
        fields = Credentials(
            username=account.name,
            realm=self._realm,
            nonce=challenge.nonce,
            uri=request.uri,
            response="",
            algorithm=challenge.algorithm,
            qop=challenge.qop,
            nc=f"{challenge.uses:08x}" if challenge.qop else "",
            cnonce=secrets.token_hex(8) if challenge.qop else "",
        )
        ha1 = account.ha1_md5 if challenge.algorithm == "MD5" else account.ha1_sha256
        response = digest_response(challenge.algorithm, ha1, request.method, fields, request.body)
        pieces = [
            f"username={quote_string(fields.username)}",
            f"realm={quote_string(fields.realm)}",
            f"nonce={quote_string(fields.nonce)}",
            f"uri={quote_string(fields.uri)}",
            f'response="{response}"',
            f"algorithm={challenge.algorithm}",
        ]
        if challenge.qop:
            pieces += [f'cnonce="{fields.cnonce}"', f"nc={fields.nc}", f"qop={fields.qop}"]
        if challenge.opaque:
            pieces.append(f"opaque={quote_string(challenge.opaque)}")
        request.headers.set(challenge.header, "Digest " + ", ".join(pieces))


def credentials_of(request: Request) -> list[tuple[str, str]]:
    """The credentials a request carries: the ACK of its 2xx repeats them (RFC 3261 §22.1)."""
    headers = [header for _, header in _HEADERS.values()]
    return [(name, value) for name in headers if (value := request.get(name))]


def once_more(request: Request, sequence: int) -> Request:
    """The same request without its credentials, for a transaction of its own with that CSeq (§8.1.3.5)."""
    again = Request(request.method, request.uri)
    for name in request.headers.keys():  # noqa: SIM118 - a list of names, not a mapping
        if name not in ("Authorization", "Proxy-Authorization"):
            again.headers.setlist(name, request.headers.getlist(name))
    again.headers.set("CSeq", f"{sequence} {request.method}")
    again.body = request.body
    return again
