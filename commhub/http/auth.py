"""Who is asking: every route is authenticated unless its endpoint says, in words, why it is open.

The application puts `guard` before all routes, so a feature cannot forget it. A feature route asks for
`CurrentPrincipal` when it needs to know who it is, and lists `needs(Permission.X)` when that is not enough:

    @router.post("", status_code=201, dependencies=[needs(Permission.CALL)])
    async def place(body: NewCall, principal: CurrentPrincipal) -> CallView: ...

Credentials are the session cookie or `Authorization: Bearer KEY`. A browser sends a cookie by itself, so a
request that changes something, or opens a socket, with a cookie must prove that it comes from our own pages
(`Sec-Fetch-Site`, or `Origin` against `Host`); a key is never sent by itself and needs no such proof.
"""

from collections.abc import Callable
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection

from commhub.domain.account import Permission, Principal
from commhub.domain.errors import NotAllowedError
from commhub.http.problems import CrossSiteError, UnauthenticatedError

SESSION_COOKIE = "commhub_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_PUBLIC_REASON = "__commhub_public__"
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])


class Principals(Protocol):
    """Whose credentials these are. None: nobody's, expired, revoked or locked out."""

    async def of_session(self, token: str, *, active: bool = True) -> Principal | None:
        """The user behind a session cookie. `active`: somebody did something, so the idle time starts anew."""
        ...

    async def of_key(self, key: str) -> Principal | None:
        """The program behind an API key."""
        ...


def public(reason: str) -> Callable[[EndpointT], EndpointT]:
    """Mark an endpoint as open to everybody, and say why. Goes below the router's decorator."""

    def mark(endpoint: EndpointT) -> EndpointT:
        setattr(endpoint, _PUBLIC_REASON, reason)
        return endpoint

    return mark


def public_reason(endpoint: object) -> str | None:
    """Why the endpoint is open; None when it is not."""
    reason: str | None = getattr(endpoint, _PUBLIC_REASON, None)
    return reason


async def authenticate(connection: HTTPConnection) -> Principal:
    """Return who is asking. Raises UnauthenticatedError (401) or CrossSiteError (403)."""
    known: Principal | None = getattr(connection.state, "principal", None)
    if known is not None:
        return known
    principals: Principals = connection.app.state.principals
    principal = await _by_key(connection, principals) or await _by_cookie(connection, principals)
    if principal is None:
        raise UnauthenticatedError("sign in, or send a valid key")
    connection.state.principal = principal
    return principal


async def still_known(connection: HTTPConnection) -> Principal | None:
    """Whose the credentials of a long connection are now, with the roles of now; None when they count no more.

    An open desk is a manned desk: in a quiet night nobody clicks for hours, and a screen that signed itself out
    would show no alarm. So asking counts as activity; the idle time ends sessions whose page is closed, and the
    absolute one ends all.
    """
    principals: Principals = connection.app.state.principals
    if key := _key_of(connection):
        return await principals.of_key(key)
    return await principals.of_session(connection.cookies.get(SESSION_COOKIE, ""))


async def guard(connection: HTTPConnection) -> None:
    """Before every route: let it through when its endpoint is public or the caller is known."""
    if public_reason(connection.scope.get("endpoint")) is None:
        await authenticate(connection)


def needs(permission: Permission) -> Any:
    """A dependency that answers 403 unless one of the caller's roles allows `permission`."""

    async def check(connection: HTTPConnection) -> None:
        require(await authenticate(connection), permission)

    return Depends(check)


def require(principal: Principal, permission: Permission) -> None:
    """For a route whose body decides what it needs. Raises NotAllowedError."""
    if not principal.may(permission):
        raise NotAllowedError(
            f"your role does not allow this: it needs «{permission}»", permission=permission
        )


CurrentPrincipal = Annotated[Principal, Depends(authenticate)]


def refuse_cross_site(connection: HTTPConnection) -> None:
    """Raise CrossSiteError when the headers say that another site made the browser send this.

    Enough where no cookie is believed yet (signing in); a request without either header passes.
    """
    if _comes_from_us(connection) is False:
        raise CrossSiteError("this request was made by a page of another site")


def _comes_from_us(connection: HTTPConnection) -> bool | None:
    """What the browser says about the page behind the request; None: it said nothing."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = connection.headers.get("origin")
    if origin is None:
        return None
    return _same_host(origin, connection.headers.get("host", ""))


def _same_host(origin: str, host: str) -> bool:
    """Compare without the scheme: behind a proxy that ends TLS it differs though the page is ours."""
    try:
        parts = urlsplit(origin)
        port = _DEFAULT_PORTS.get(parts.scheme)
        theirs = (parts.hostname, parts.port or port)
        ours_parts = urlsplit(f"//{host}")
        ours = (ours_parts.hostname, ours_parts.port or port)
    except ValueError:
        return False
    return parts.hostname is not None and theirs == ours


def _key_of(connection: HTTPConnection) -> str | None:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


async def _by_key(connection: HTTPConnection, principals: Principals) -> Principal | None:
    key = _key_of(connection)
    return await principals.of_key(key) if key else None


async def _by_cookie(connection: HTTPConnection, principals: Principals) -> Principal | None:
    token = connection.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    changes = connection.scope["type"] == "websocket" or (
        connection.scope["method"] not in SAFE_METHODS
    )
    if changes and not _comes_from_us(connection):
        raise CrossSiteError(
            "a request that changes something with the session cookie must come from the console's own "
            "pages (Origin or Sec-Fetch-Site); programs use a key"
        )
    return await principals.of_session(token)
