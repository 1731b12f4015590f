"""Digest authentication, the server's side (RFC 7616, RFC 8760): who may register and call.

Both challenges carry the same nonce, so a phone that reads only one of them (or mixes them up) still holds a good
one. Nonces are signed, not stored: a flood of challenges costs no memory, and after a restart every phone is told
`stale=true` and simply answers again. A nonce is good at the address it was given to, and is looked at before anything
else: a digest over any other nonce says nothing about its sender, so it is neither checked nor counted nor looked up.
Known and unknown names go through the same steps.
"""

import base64
import hashlib
import hmac
import math
import secrets
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from commhub.kit.clock import Clock
from commhub.kit.values import quick
from commhub.ports.edge_store import SipAccount
from commhub.ports.store import Store
from gateways.sip import metrics
from gateways.sip.accounts import Accounts
from gateways.sip.config import SipConfig
from gateways.sip.grammar import read_auth, read_uri
from gateways.sip.lockout import Closed, Lockout
from gateways.sip.message import Request, clean_text
from gateways.sip.origins import Proxies
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ALGORITHMS: dict[str, Callable[[bytes], str]] = {"SHA-256": _sha256, "MD5": _md5}

_NONCE = struct.Struct(">d8s")
_WINDOW = 64
_UNREAD = object()
# A phone answers a challenge at once; a lost message costs it half a second, and another one.
_A_MOMENT_S = 4.0
_MAX_TRACKED = 50_000


def signature(key: bytes, data: bytes, size: int) -> bytes:
    """A MAC of `size` bytes (RFC 7693 §2.9) with a key of up to 32: a quarter of what HMAC costs, and whoever floods us
    has two of them made with every challenge."""
    return hashlib.blake2s(data, key=key, digest_size=size).digest()


def hash_account(
    name: str,
    realm: str,
    password: str,
    *,
    display_name: str | None = None,
    responder_id: str | None = None,
) -> SipAccount:
    """The account as it is stored: HA1 for both algorithms (RFC 7616 §3.4.2), no password."""
    secret = f"{name}:{realm}:{password}".encode()
    return SipAccount(
        name=name,
        display_name=display_name or name,
        ha1_md5=_md5(secret),
        ha1_sha256=_sha256(secret),
        responder_id=responder_id,
    )


def digest_response(
    algorithm: str, ha1: str, method: str, fields: "Credentials", body: bytes = b""
) -> str:
    """The `response` value for qop=auth or auth-int, which covers the body, or RFC 2069's without qop (RFC 7616 §3.4.1)."""
    hashed = ALGORITHMS[algorithm]
    covered = f"{method}:{fields.uri}".encode("utf-8", "surrogateescape")
    if fields.qop == "auth-int":
        covered += b":" + hashed(body).encode()
    ha2 = hashed(covered)
    if fields.qop:
        middle = f"{fields.nonce}:{fields.nc}:{fields.cnonce}:{fields.qop}"
    else:
        middle = fields.nonce
    return hashed(f"{ha1}:{middle}:{ha2}".encode("utf-8", "surrogateescape"))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The parameters of an Authorization header that the digest covers."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    qop: str = ""
    nc: str = ""
    cnonce: str = ""

    @classmethod
    def of(cls, request: Request, header: str, realm: str) -> "Credentials | None":
        """The credentials for our realm, None when the request has none that can be read (a foreign realm,
        an unknown scheme): then it is challenged like one without any."""
        known = request.credentials.get(header, _UNREAD)
        if known is _UNREAD:
            known = request.credentials[header] = cls._read(request, header, realm)
        return known if isinstance(known, cls) else None

    @classmethod
    def _read(cls, request: Request, header: str, realm: str) -> "Credentials | None":
        for value in request.headers.getlist(header):
            try:
                scheme, found = read_auth(value)
            except ValueError:
                continue
            if scheme != "digest" or found.get("realm") != realm:
                continue
            wanted = ("username", "nonce", "uri", "response")
            if any(not found.get(name) for name in wanted):
                continue
            return cls(
                username=found["username"],
                realm=realm,
                nonce=found["nonce"],
                uri=found["uri"],
                response=found["response"].lower(),
                algorithm=found.get("algorithm", "MD5").upper(),
                qop=found.get("qop", "").lower(),
                nc=found.get("nc", ""),
                cnonce=found.get("cnonce", ""),
            )
        return None


class Verdict(StrEnum):
    PASSED = "passed"
    CHALLENGE = "challenge"
    STALE = "stale"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Judgement:
    """`account` only when PASSED; `retry_after_s` when THROTTLED."""

    verdict: Verdict
    account: SipAccount | None = None
    retry_after_s: int = 0


class Nonces:
    """Signed nonces: time and randomness with a MAC over both; and which counts of a nonce were used."""

    def __init__(self, clock: Clock, lifetime_s: float) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._key = secrets.token_bytes(32)
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._forgotten = -math.inf

    def new(self, host: str = "") -> str:
        """A nonce for whoever is at `host`."""
        head = _NONCE.pack(self._clock.monotonic(), secrets.token_bytes(8))
        return base64.urlsafe_b64encode(head + self._sign(head, host)).decode()

    def _sign(self, head: bytes, host: str) -> bytes:
        return signature(self._key, head + host.encode(), 16)

    def is_fresh(self, nonce: str, host: str = "", within_s: float = math.inf) -> bool:
        """Ours, given to `host`, and not too old: for its purpose, and for any."""
        made = self._made(nonce, host)
        if made is None or made <= self._forgotten:
            return False
        return 0 <= self._clock.monotonic() - made <= min(self._lifetime_s, within_s)

    def _made(self, nonce: str, host: str) -> float | None:
        try:
            raw = base64.urlsafe_b64decode(nonce.encode("ascii"))
        except ValueError:
            return None
        head, mac = raw[: _NONCE.size], raw[_NONCE.size :]
        if len(head) != _NONCE.size or not hmac.compare_digest(mac, self._sign(head, host)):
            return None
        return float(_NONCE.unpack(head)[0])

    def use(self, nonce: str, count: int | None) -> bool:
        """Note one use of a proven nonce; False when it is a replay (RFC 7616 §3.4 nc). Counts may overtake
        each other on UDP, so a window of them is remembered. Without a count a nonce is good once."""
        highest, seen = self._used.pop(nonce, (0, 0))
        if count is None:
            fresh, highest, seen = highest == 0, max(highest, 1), seen | 1
        else:
            if count > highest:
                seen = (
                    (seen << (count - highest)) & ((1 << _WINDOW) - 1)
                    if count - highest < _WINDOW
                    else 0
                )
                highest = count
            offset = highest - count
            fresh = count > 0 and offset < _WINDOW and not seen >> offset & 1
            seen |= 1 << offset if offset < _WINDOW else 0
        self._used[nonce] = (highest, seen)
        while len(self._used) > _MAX_TRACKED:
            # Whose counts are forgotten must not be good again, nor any nonce that is older.
            forgotten, _ = self._used.popitem(last=False)
            self._forgotten = max(self._forgotten, _time_of(forgotten))
        return fresh


def _time_of(nonce: str) -> float:
    """When a nonce of ours was made."""
    raw = base64.urlsafe_b64decode(nonce.encode("ascii"))
    return float(_NONCE.unpack(raw[: _NONCE.size])[0])


class Authenticator:
    """Judges the credentials of a request and writes challenges."""

    def __init__(
        self,
        config: SipConfig,
        store: Store,
        clock: Clock,
        passed: Callable[[Hop], None] = lambda source: None,
        is_urgent: Callable[[Request], bool] = lambda request: False,
    ) -> None:
        """`passed` hears of every far end that proves itself; `is_urgent`: a request that is judged behind a closed
        door as well."""
        self._config = config
        self._passed = passed
        self._is_urgent = is_urgent
        self._store = store
        self._accounts = Accounts(store, clock)
        self._nonces = Nonces(clock, config.nonce_lifetime_s)
        self._clock = clock
        self._proxies = Proxies(config.proxies)
        self._lockout = Lockout(clock, config.auth_failures_allowed, config.auth_failure_window_s)
        # Unknown names are measured against this, so that they cost what known ones cost.
        self._nobody = hash_account("", config.realm, secrets.token_urlsafe(32))

    def challenges(self, request: Request, source: Hop, *, stale: bool = False) -> list[str]:
        """Values for WWW-Authenticate or Proxy-Authenticate, in the order of the configuration."""
        algorithms = self._config.digest_algorithms
        if "MD5" in algorithms and request.get("User-Agent").startswith(
            self._config.md5_only_agents
        ):
            algorithms = ("MD5",)
        nonce = self._nonces.new(self._proxies.origin(request, source))
        suffix = ", stale=true" if stale else ""
        return [
            f'Digest realm="{self._config.realm}", nonce="{nonce}", algorithm={algorithm}, '
            f'qop="auth"{suffix}'
            for algorithm in algorithms
        ]

    async def judge(self, request: Request, source: Hop, header: str) -> Judgement:
        """`header` is Authorization (registrar) or Proxy-Authorization (calls)."""
        credentials = Credentials.of(request, header, self._config.realm)
        if credentials is None:
            return Judgement(Verdict.CHALLENGE)
        origin = self._proxies.origin(request, source)
        name = credentials.username
        left = self._lockout.closed_for(source, origin, name)
        if left and not (self._is_urgent(request) and self._lockout.may_try(source, origin, name)):
            metrics.AUTH_THROTTLED.inc()
            return Judgement(Verdict.THROTTLED, retry_after_s=math.ceil(left))
        if not self._nonces.is_fresh(credentials.nonce, origin):
            return Judgement(Verdict.STALE)
        account = await self._prove(credentials, request)
        if account is None:
            metrics.AUTH_FAILURES.labels(request.method).inc()
            for closed in self._lockout.failed(source, origin, name):
                await self._tell(closed)
            return Judgement(Verdict.CHALLENGE)
        if not self._nonces.use(credentials.nonce, _count(credentials)):
            metrics.AUTH_REPLAYS.inc()
            return Judgement(Verdict.STALE)
        self._lockout.passed(source, name)
        self._passed(source)
        return Judgement(Verdict.PASSED, account)

    async def _prove(self, credentials: Credentials, request: Request) -> SipAccount | None:
        """Whose credentials these are. What is known by heart is enough to say yes, never to say no."""
        known = self._accounts.proved(credentials.username) or self._nobody
        if self._proves(credentials, known, request) and known is not self._nobody:
            return known
        found = await self._accounts.find(credentials.username) or self._nobody
        if not self._proves(credentials, found, request) or found is self._nobody:
            return None
        self._accounts.prove(found)
        return found

    def know(self, source: Hop, account: str) -> None:
        """This far end is a registered phone of the account, since a former process."""
        self._lockout.passed(source, account)

    def was_just_challenged(self, request: Request, source: Hop) -> bool:
        """Whether a call answers a challenge of a moment ago: it has begun."""
        credentials = Credentials.of(request, "Proxy-Authorization", self._config.realm)
        if credentials is None:
            return False
        origin = self._proxies.origin(request, source)
        return self._nonces.is_fresh(credentials.nonce, origin, within_s=_A_MOMENT_S)

    def has_credentials(self, request: Request, header: str) -> bool:
        """Whether `judge` would have anything to judge; without, it can only challenge."""
        return Credentials.of(request, header, self._config.realm) is not None

    async def _tell(self, closed: Closed) -> None:
        """On record; a record that cannot be written now is in the log."""
        metrics.AUTH_LOCKOUTS.labels("account" if closed.account else "source").inc()
        log.warning("sip_locked_out", source=closed.source, seconds=round(closed.seconds))
        what = f"{self._config.auth_failures_allowed} wrong passwords, {closed.seconds:.0f} s"
        subject = clean_text(closed.account or "") or "any"
        try:
            async with self._store.begin() as uow:
                await uow.audit.append(
                    self._clock.now(),
                    f"sip:{closed.source}",
                    "sip.lockout",
                    subject,
                    "closed",
                    what,
                )
        except Exception:
            metrics.CORE_FAILURES.labels("audit").inc()
            log.exception("sip_lockout_not_on_record")

    def _proves(self, credentials: Credentials, account: SipAccount, request: Request) -> bool:
        algorithm = credentials.algorithm if credentials.algorithm in ALGORITHMS else "SHA-256"
        ha1 = account.ha1_md5 if algorithm == "MD5" else account.ha1_sha256
        expected = digest_response(algorithm, ha1, request.method, credentials)
        matches = hmac.compare_digest(
            expected.encode(), credentials.response.encode("utf-8", "surrogateescape")
        )
        sane = (
            credentials.algorithm in self._config.digest_algorithms
            and credentials.qop in ("", "auth")
            and (
                not credentials.qop
                or (_count(credentials) is not None and credentials.cnonce != "")
            )
            and self._is_for_us(credentials.uri, request)
        )
        return matches and sane

    def _is_for_us(self, uri: str, request: Request) -> bool:
        """Whether the digest covers this request's resource (RFC 7616 §3.4.6). Phones write the domain, the
        address or a parameter more or less, so the host decides."""
        if uri == request.uri:
            return True
        try:
            host, asked = read_uri(uri).host, read_uri(request.uri).host
        except ValueError:
            return False
        return host in (asked, self._config.realm.lower(), self._config.public_host.lower())


def _count(credentials: Credentials) -> int | None:
    if not credentials.qop:
        return None
    try:
        return int(credentials.nc, 16) if len(credentials.nc) == 8 else None
    except ValueError:
        return None
