"""HTTP of accounts, under /api/v1/accounts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, SecretStr

from commhub.accounts.passwords import MAX_LENGTH
from commhub.accounts.service import AccountService
from commhub.accounts.sessions import SessionService
from commhub.domain.account import Permission
from commhub.domain.people import Role
from commhub.http.auth import (
    SESSION_COOKIE,
    CurrentPrincipal,
    needs,
    public,
    refuse_cross_site,
)
from commhub.http.bodies import Body
from commhub.http.cursors import PageQuery
from commhub.http.idempotency import IdempotencyKey
from commhub.http.views import ApiKeyView, AuditEntryView, Page, PrincipalView, UserView, View
from commhub.ports.store import Store, UnitOfWork

Name = Annotated[str, Field(min_length=1, max_length=64, examples=["li"])]
DisplayName = Annotated[str, Field(max_length=64)]
Password = Annotated[SecretStr, Field(max_length=MAX_LENGTH)]

_MANAGE = [needs(Permission.MANAGE_ACCOUNTS)]


class Credentials(Body):
    name: Name
    password: Password


class PasswordChange(Body):
    old: Password
    new: Password


class NewUser(Body):
    name: Name
    password: Password
    roles: frozenset[Role] = Field(min_length=1)
    display_name: DisplayName = ""


class UserChange(Body):
    """What is absent (or null) stays as it is."""

    display_name: DisplayName | None = None
    roles: frozenset[Role] | None = Field(None, min_length=1)
    disabled: bool | None = None
    password: Password | None = None


class NewKey(Body):
    name: Name
    roles: frozenset[Role] = Field(min_length=1)


class NewKeyView(View):
    """`secret` is the key, shown this once: null when the same request is sent again."""

    key: ApiKeyView
    secret: str | None


def build_router(accounts: AccountService, sessions: SessionService, store: Store) -> APIRouter:
    """All routes of accounts."""
    router = APIRouter(prefix="/accounts", tags=["accounts"])
    _add_session_routes(router, sessions)
    _add_user_routes(router, accounts, store)
    _add_key_routes(router, accounts, store)

    @router.get("/audit", dependencies=[needs(Permission.READ_AUDIT)])
    async def read_audit(page: PageQuery) -> Page[AuditEntryView]:
        """Who did what, newest first; each row's digest covers the row before."""
        rows = await accounts.audit(page.before_number, page.fetch)
        return page.of(rows, AuditEntryView.model_validate, key=lambda row: row.seq)

    return router


def _add_session_routes(router: APIRouter, sessions: SessionService) -> None:
    @router.post("/session", dependencies=[Depends(refuse_cross_site)])
    @public("this is where one signs in")
    async def sign_in(body: Credentials, request: Request, response: Response) -> PrincipalView:
        """Sign in: sets the cookie `commhub_session`."""
        principal, token = await sessions.sign_in(body.name, body.password.get_secret_value())
        _set_cookie(request, response, token)
        return PrincipalView.model_validate(principal)

    @router.get("/session")
    async def who_am_i(principal: CurrentPrincipal) -> PrincipalView:
        """Who the hub takes me for."""
        return PrincipalView.model_validate(principal)

    @router.delete("/session", status_code=204)
    async def sign_out(request: Request, response: Response, principal: CurrentPrincipal) -> None:
        """Sign out: ends the session and clears the cookie."""
        token = request.cookies.get(SESSION_COOKIE)
        if token:
            await sessions.sign_out(token, principal)
        response.delete_cookie(
            SESSION_COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https"
        )

    @router.put("/session/password")
    async def change_password(
        body: PasswordChange, request: Request, response: Response, principal: CurrentPrincipal
    ) -> PrincipalView:
        """Give oneself a new password. Every other session of mine ends."""
        token = await sessions.change_password(
            principal, body.old.get_secret_value(), body.new.get_secret_value()
        )
        _set_cookie(request, response, token)
        return PrincipalView.model_validate(principal)


def _add_user_routes(router: APIRouter, accounts: AccountService, store: Store) -> None:
    @router.get("/users", dependencies=_MANAGE)
    async def list_users() -> Page[UserView]:
        """Everybody, on one page."""
        users = await accounts.users()
        return Page(items=[UserView.model_validate(user) for user in users])

    @router.post("/users", status_code=201, response_model=UserView, dependencies=_MANAGE)
    async def add_user(body: NewUser, principal: CurrentPrincipal, key: IdempotencyKey) -> Response:
        """Add a user. The name can never be given to somebody else: it stands in timelines."""

        async def produce() -> UserView:
            user = await accounts.add_user(
                body.name,
                body.password.get_secret_value(),
                body.roles,
                body.display_name,
                principal.actor,
            )
            return UserView.model_validate(user)

        return await key.run_after(store, body, produce)

    @router.patch("/users/{user_id}", dependencies=_MANAGE)
    async def change_user(user_id: str, body: UserChange, principal: CurrentPrincipal) -> UserView:
        """Change roles, name or password, disable or enable. Users are never deleted."""
        user = await accounts.change_user(
            user_id,
            principal.actor,
            display_name=body.display_name,
            roles=body.roles,
            disabled=body.disabled,
            password=body.password.get_secret_value() if body.password else None,
        )
        return UserView.model_validate(user)


def _add_key_routes(router: APIRouter, accounts: AccountService, store: Store) -> None:
    @router.get("/keys", dependencies=_MANAGE)
    async def list_keys() -> Page[ApiKeyView]:
        """All keys, revoked ones too, on one page."""
        keys = await accounts.keys()
        return Page(items=[ApiKeyView.model_validate(key) for key in keys])

    @router.post("/keys", status_code=201, response_model=NewKeyView, dependencies=_MANAGE)
    async def add_key(body: NewKey, principal: CurrentPrincipal, key: IdempotencyKey) -> Response:
        """Make a key for a program. The secret is in this answer and nowhere else."""

        async def produce(uow: UnitOfWork) -> NewKeyView:
            made, secret = await accounts.add_key(uow, body.name, body.roles, principal)
            return NewKeyView(key=ApiKeyView.model_validate(made), secret=secret)

        return await key.run(
            store, body, produce, remember=lambda made: made.model_copy(update={"secret": None})
        )

    @router.delete("/keys/{key_id}", status_code=204, dependencies=_MANAGE)
    async def revoke_key(key_id: str, principal: CurrentPrincipal) -> None:
        """Revoke a key; it stops working at once."""
        await accounts.revoke_key(key_id, principal.actor)


def _set_cookie(request: Request, response: Response, token: str) -> None:
    # No Max-Age: the cookie goes with the browser, and the server ends the session by its own clock.
    response.set_cookie(
        SESSION_COOKIE,
        token,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
