"""Whose password is known by heart, for how long, and that nobody can tell who is."""

from dataclasses import replace

import pytest

from gateways.sip import hash_account

REALM, PASSWORD = "commhub.test", "kept-between-us"


@pytest.fixture
def looked_up(wire, monkeypatch):
    """Names that were looked up in the store for a digest."""
    accounts = wire.gateway._registrar._authenticator._accounts
    names, find = [], accounts.find

    async def finding(name):
        names.append(name)
        return await find(name)

    monkeypatch.setattr(accounts, "find", finding)
    return names


async def register(wire, call, **more):
    contact = "Contact: <sip:1001@192.0.2.10:5062>"
    return (await wire.authorized("REGISTER", headers=[contact], call=call, **more)).status


async def test_who_proved_it_lately_is_not_looked_up_again(wire, looked_up, clock):
    assert await register(wire, "a") == 200
    assert await register(wire, "b") == 200
    assert looked_up == ["1001"]
    clock.advance(31)
    assert await register(wire, "c") == 200
    assert looked_up == ["1001", "1001"]


async def test_a_new_password_is_good_at_once(wire, looked_up):
    assert await register(wire, "a") == 200
    async with wire.store.begin() as uow:
        await uow.sip.put_account(hash_account("1001", REALM, "a new one"))
    assert await register(wire, "b", password="a new one") == 200
    assert await register(wire, "c") == 401


async def test_a_disabled_account_is_shut_out_within_half_a_minute(wire, clock):
    assert await register(wire, "a") == 200
    async with wire.store.begin() as uow:
        account = await uow.sip.find_account("1001")
        await uow.sip.put_account(replace(account, disabled=True))
    clock.advance(31)
    assert await register(wire, "b") == 401


async def test_a_wrong_password_and_an_unknown_name_are_the_same_work(wire, looked_up, monkeypatch):
    """Counted, not timed: digests computed and names looked up."""
    assert await register(wire, "a") == 200
    looked_up.clear()
    authenticator = wire.gateway._registrar._authenticator
    computed, proves = [], authenticator._proves

    def proving(credentials, account, request):
        computed.append(credentials.username)
        return proves(credentials, account, request)

    monkeypatch.setattr(authenticator, "_proves", proving)
    for user in ("1001", "1002", "nobody"):
        asked = wire.request("REGISTER", call=user, tag=user)
        challenge = await wire.ask(asked)
        line = wire.credentials(challenge, "REGISTER", user=user, password="wrong")
        again = wire.request("REGISTER", call=user, tag=user, seq=2, headers=[line])
        assert (await wire.ask(again)).status == 401
    assert looked_up == ["1001", "1002", "nobody"]
    assert computed == ["1001", "1001", "1002", "1002", "nobody", "nobody"]
