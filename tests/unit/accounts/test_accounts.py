"""Signing in, being locked out, keys, users, and the audit of it all, over HTTP on a real store."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from argon2 import PasswordHasher
from fakes.web import client_of

from commhub.accounts.passwords import Passwords
from commhub.accounts.routes import build_router
from commhub.accounts.service import AccountService
from commhub.accounts.sessions import SessionService
from commhub.domain.errors import ConflictError, InvalidError
from commhub.domain.people import Role
from commhub.http.app import new_app

PASSWORD = "correct horse battery"
OURS = {"Origin": "http://hub.test"}


class Hub:
    """The accounts of a hub, without the rest of it."""

    def __init__(self, store, clock) -> None:
        # The weakest argon2 there is: these tests are about what happens around the hash.
        passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.accounts = AccountService(store, clock, passwords)
        self.sessions = SessionService(store, clock, passwords)
        self.app = new_app(principals=self.sessions, clock=clock)
        self.app.include_router(build_router(self.accounts, self.sessions, store), prefix="/api/v1")

    def browser(self) -> httpx.AsyncClient:
        return client_of(self.app, key=None, headers=OURS.items())

    async def add(self, name: str, *roles: Role) -> None:
        await self.accounts.add_user(name, PASSWORD, roles, name.title(), "test")


async def sign_in(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("accounts/session", json={"name": name, "password": password})


@pytest.fixture
async def hub(store, clock) -> Hub:
    hub = Hub(store, clock)
    await hub.add("li", Role.DISPATCHER)
    await hub.add("sec", Role.SECURITY_ADMIN)
    await hub.add("aud", Role.AUDIT_ADMIN)
    return hub


@pytest.fixture
async def admin(hub) -> AsyncIterator[httpx.AsyncClient]:
    async with hub.browser() as client:
        await sign_in(client, "sec")
        yield client


async def audited(hub: Hub) -> list[tuple[str, str, str, str]]:
    rows = await hub.accounts.audit(None, 200)
    return [(row.actor, row.action, row.subject, row.outcome) for row in reversed(rows)]


# --- sessions --------------------------------------------------------------------------------------------


async def test_signing_in_sets_a_cookie_that_scripts_cannot_read(hub):
    async with hub.browser() as client:
        answer = await sign_in(client, "li")
        assert answer.json()["name"] == "li"
        assert answer.json()["roles"] == ["dispatcher"]
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        me = await client.get("accounts/session")
    assert me.json()["display_name"] == "Li"


async def test_over_https_the_cookie_is_secure(hub):
    transport = httpx.ASGITransport(hub.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://hub.test") as client:
        answer = await client.post(
            "/api/v1/accounts/session", json={"name": "li", "password": PASSWORD}
        )
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_the_token_itself_is_stored_nowhere(hub, tmp_path):
    async with hub.browser() as client:
        await sign_in(client, "li")
        token = client.cookies["commhub_session"]
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert token.encode() not in stored
    assert PASSWORD.encode() not in stored
    assert b"$argon2id$" in stored


async def test_every_sign_in_gets_a_new_token(hub):
    async with hub.browser() as client:
        await sign_in(client, "li")
        first = client.cookies["commhub_session"]
        await sign_in(client, "li")
        assert client.cookies["commhub_session"] != first


@pytest.mark.parametrize("name", ["li", "nobody"])
async def test_a_wrong_password_and_an_unknown_name_are_told_alike(hub, name):
    async with hub.browser() as client:
        answer = await sign_in(client, name, "wrong password!")
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong-credentials")
    assert answer.json()["detail"] == "name or password is wrong"


async def test_signing_out_ends_the_session_and_not_only_the_cookie(hub):
    async with hub.browser() as client:
        await sign_in(client, "li")
        token = client.cookies["commhub_session"]
        assert (await client.delete("accounts/session")).status_code == 204
        assert "commhub_session" not in client.cookies
    assert await hub.sessions.of_session(token) is None


async def test_a_session_ends_after_half_an_hour_of_nothing(hub, clock):
    async with hub.browser() as client:
        await sign_in(client, "li")
        clock.advance(29 * 60)
        assert (await client.get("accounts/session")).status_code == 200
        clock.advance(29 * 60)
        assert (await client.get("accounts/session")).status_code == 200
        clock.advance(30 * 60)
        assert (await client.get("accounts/session")).status_code == 401


async def test_a_session_ends_after_twelve_hours_of_work(hub, clock):
    async with hub.browser() as client:
        await sign_in(client, "li")
        for _ in range(12 * 3 - 1):
            clock.advance(20 * 60)
            assert (await client.get("accounts/session")).status_code == 200
        clock.advance(20 * 60)
        assert (await client.get("accounts/session")).status_code == 401


async def test_a_page_left_open_is_no_activity(hub, clock):
    _, token = await hub.sessions.sign_in("li", PASSWORD)
    clock.advance(29 * 60)
    assert await hub.sessions.of_session(token, active=False) is not None
    clock.advance(60)
    assert await hub.sessions.of_session(token) is None


async def test_another_site_cannot_sign_somebody_in(hub):
    async with client_of(hub.app, key=None, headers={"Origin": "http://evil.test"}.items()) as evil:
        answer = await sign_in(evil, "li")
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-site")
    assert "set-cookie" not in answer.headers


# --- lockout ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["li", "nobody"])
async def test_ten_wrong_passwords_lock_the_name_for_a_quarter_of_an_hour(hub, clock, name):
    async with hub.browser() as client:
        for _ in range(10):
            assert (await sign_in(client, name, "wrong password!")).status_code == 401
        locked = await sign_in(client, name)
        assert (locked.status_code, locked.json()["code"]) == (429, "locked")
        assert locked.headers["retry-after"] == "900"
        clock.advance(899)
        assert (await sign_in(client, name)).status_code == 429
        clock.advance(1)
        expected = 200 if name == "li" else 401
        assert (await sign_in(client, name)).status_code == expected


async def test_guesses_made_at_once_count_one_by_one(hub):
    async with hub.browser() as client:
        guesses = [sign_in(client, "li", f"wrong password {n}") for n in range(30)]
        statuses = [answer.status_code for answer in await asyncio.gather(*guesses)]
    assert statuses.count(401) == 10
    assert statuses.count(429) == 20


async def test_the_right_password_forgives_the_wrong_ones_before_it(hub):
    async with hub.browser() as client:
        for _ in range(3):
            for _ in range(9):
                await sign_in(client, "li", "wrong password!")
            assert (await sign_in(client, "li")).status_code == 200


async def test_a_lock_is_audited_once_and_an_unknown_name_is_not_kept(hub):
    async with hub.browser() as client:
        for _ in range(12):
            await sign_in(client, "li", "wrong password!")
        await sign_in(client, "MyPassword123", "oops")
    lines = await audited(hub)
    assert lines.count(("stranger", "sign-in", "user:li", "denied")) == 10
    assert lines.count(("system", "user.lock", "user:li", "ok")) == 1
    assert lines[-1] == ("stranger", "sign-in", "user:?", "denied")
    assert "MyPassword123" not in str(await hub.accounts.audit(None, 200))


# --- users -----------------------------------------------------------------------------------------------


async def test_the_first_admin_is_made_once_and_its_password_told_once(store, clock):
    hub = Hub(store, clock)
    password = await hub.accounts.ensure_first_admin()
    assert password is not None
    assert await hub.accounts.ensure_first_admin() is None
    async with hub.browser() as client:
        answer = await sign_in(client, "admin", password)
    assert sorted(answer.json()["roles"]) == ["security_admin", "system_admin"]


async def test_only_who_manages_accounts_sees_or_adds_users(hub, admin):
    user = {"name": "wu", "password": PASSWORD, "roles": ["viewer"]}
    async with hub.browser() as client:
        await sign_in(client, "li")
        assert (await client.get("accounts/users")).status_code == 403
        assert (await client.post("accounts/users", json=user)).status_code == 403
        assert (await client.get("accounts/keys")).status_code == 403
        assert (
            await client.post("accounts/keys", json={"name": "k", "roles": ["viewer"]})
        ).status_code == 403
        assert (await client.delete("accounts/keys/1")).status_code == 403
        assert (await client.get("accounts/audit")).status_code == 403
    added = await admin.post("accounts/users", json=user)
    assert added.status_code == 201
    assert "password" not in added.text
    names = [item["name"] for item in (await admin.get("accounts/users")).json()["items"]]
    assert names == ["aud", "li", "sec", "wu"]


async def test_a_name_is_given_once(admin):
    user = {"name": "li", "password": PASSWORD, "roles": ["viewer"]}
    answer = await admin.post("accounts/users", json=user)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    "change",
    [
        {"password": "short"},
        {"password": "aaaaaaaaaaaaaa"},
        {"password": "wu-zetian-2026"},
        {"password": "x" * 257},
        {"roles": []},
        {"roles": ["king"]},
        {"roles": ["audit_admin", "system_admin"]},
        {"name": "with space"},
        {"name": "a:b"},
        {"name": ""},
        {"shoe_size": 43},
    ],
)
async def test_a_bad_user_is_refused_with_a_reason(admin, change):
    user = {"name": "wu-zetian", "password": PASSWORD, "roles": ["viewer"]} | change
    answer = await admin.post("accounts/users", json=user)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["detail"]


async def test_a_disabled_user_is_out_at_once(hub, admin):
    async with hub.browser() as client:
        user_id = (await sign_in(client, "li")).json()["id"]
        await admin.patch(f"accounts/users/{user_id}", json={"disabled": True})
        assert (await client.get("accounts/session")).status_code == 401
        assert (await sign_in(client, "li")).status_code == 401
        await admin.patch(f"accounts/users/{user_id}", json={"disabled": False})
        assert (await sign_in(client, "li")).status_code == 200


async def test_a_change_of_roles_counts_from_the_next_request(hub, admin):
    async with hub.browser() as client:
        user_id = (await sign_in(client, "li")).json()["id"]
        await admin.patch(f"accounts/users/{user_id}", json={"roles": ["security_admin"]})
        assert (await client.get("accounts/users")).status_code == 200


async def test_a_new_password_from_the_admin_ends_sessions_and_opens_a_lock(hub, admin):
    async with hub.browser() as client, hub.browser() as guesser:
        user_id = (await sign_in(client, "li")).json()["id"]
        for _ in range(10):
            await sign_in(guesser, "li", "wrong password!")
        await admin.patch(f"accounts/users/{user_id}", json={"password": "a fresh new start"})
        assert (await client.get("accounts/session")).status_code == 401
        assert (await sign_in(client, "li", "a fresh new start")).status_code == 200


async def test_one_changes_the_own_password_with_the_old_one(hub):
    change = {"old": PASSWORD, "new": "a fresh new start"}
    async with hub.browser() as here, hub.browser() as elsewhere:
        await sign_in(here, "li")
        await sign_in(elsewhere, "li")
        wrong = await here.put(
            "accounts/session/password", json=change | {"old": "wrong password!"}
        )
        assert wrong.status_code == 401
        assert (await here.put("accounts/session/password", json=change)).status_code == 200
        assert (await here.get("accounts/session")).status_code == 200
        assert (await elsewhere.get("accounts/session")).status_code == 401
        assert (await sign_in(elsewhere, "li")).status_code == 401


async def test_the_last_who_manages_accounts_stays(hub, admin):
    me = (await admin.get("accounts/session")).json()["id"]
    for change in ({"disabled": True}, {"roles": ["viewer"]}):
        answer = await admin.patch(f"accounts/users/{me}", json=change)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    await hub.add("sec2", Role.SECURITY_ADMIN)
    assert (
        await admin.patch(f"accounts/users/{me}", json={"roles": ["viewer"]})
    ).status_code == 200


async def test_an_unknown_user_cannot_be_changed(admin):
    answer = await admin.patch("accounts/users/nobody", json={"disabled": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_the_command_line_adds_users_by_the_same_rules(hub):
    with pytest.raises(InvalidError):
        await hub.accounts.add_user("wu", "short", [Role.VIEWER], "Wu", "cli")
    await hub.accounts.add_user("wu", PASSWORD, [Role.VIEWER], "Wu", "cli")
    with pytest.raises(ConflictError):
        await hub.accounts.add_user("wu", PASSWORD, [Role.VIEWER], "Wu", "cli")
    assert (await audited(hub))[-1] == ("cli", "user.add", "user:wu", "ok")


async def test_a_weak_hash_is_renewed_at_the_next_sign_in(hub, store, clock):
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1))
    sessions = SessionService(store, clock, stronger)
    before = next(user for user in await hub.accounts.users() if user.name == "li")
    await sessions.sign_in("li", PASSWORD)
    after = next(user for user in await hub.accounts.users() if user.name == "li")
    assert "m=8,t=1" in before.password_hash
    assert "m=16,t=2" in after.password_hash
    await sessions.sign_in("li", PASSWORD)


# --- keys ------------------------------------------------------------------------------------------------


async def test_a_key_is_shown_once_works_and_is_revoked(hub, admin):
    new = {"name": "12345", "roles": ["integration"]}
    headers = {"Idempotency-Key": "k1"}
    made = (await admin.post("accounts/keys", json=new, headers=headers)).json()
    again = (await admin.post("accounts/keys", json=new, headers=headers)).json()
    assert again["key"] == made["key"]
    assert again["secret"] is None
    listed = await admin.get("accounts/keys")
    assert made["secret"] not in listed.text
    async with client_of(hub.app, key=made["secret"]) as program:
        me = (await program.get("accounts/session")).json()
        assert (me["kind"], me["name"], me["roles"]) == ("key", "12345", ["integration"])
        assert (await program.get("accounts/users")).status_code == 403
        assert (
            await program.put("accounts/session/password", json={"old": PASSWORD, "new": PASSWORD})
        ).status_code == 403
        for _ in range(2):
            assert (await admin.delete(f"accounts/keys/{made['key']['id']}")).status_code == 204
        assert (await program.get("accounts/session")).status_code == 401


async def test_two_keys_in_use_never_share_a_name(admin):
    new = {"name": "12345", "roles": ["integration"]}
    first = (await admin.post("accounts/keys", json=new)).json()
    assert (await admin.post("accounts/keys", json=new)).status_code == 409
    await admin.delete(f"accounts/keys/{first['key']['id']}")
    assert (await admin.post("accounts/keys", json=new)).status_code == 201


async def test_an_unknown_key_cannot_be_revoked(admin):
    assert (await admin.delete("accounts/keys/nothing")).status_code == 404


# --- audit -----------------------------------------------------------------------------------------------


async def test_the_auditor_reads_page_by_page_who_did_what(hub, admin):
    await admin.post("accounts/keys", json={"name": "12345", "roles": ["integration"]})
    async with hub.browser() as auditor:
        await sign_in(auditor, "aud")
        seen: list[tuple[str, str, str]] = []
        cursor = ""
        while cursor is not None:
            page = (
                await auditor.get("accounts/audit", params={"limit": 2, "cursor": cursor})
            ).json()
            seen += [(row["actor"], row["action"], row["subject"]) for row in page["items"]]
            cursor = page["next"]
    assert list(reversed(seen)) == [
        ("test", "user.add", "user:li"),
        ("test", "user.add", "user:sec"),
        ("test", "user.add", "user:aud"),
        ("user:sec", "sign-in", "user:sec"),
        ("user:sec", "key.add", "key:12345"),
        ("user:aud", "sign-in", "user:aud"),
    ]
