"""Whom a call reaches is known by heart after the first one, and never believed longer than it is true."""

from dataclasses import replace

from gateways.sip.reached import Reached


def contact(port=5062, expires=None):
    tail = "" if expires is None else f";expires={expires}"
    return f"Contact: <sip:1001@192.0.2.10:{port}>{tail}"


async def reached(wire, name="1001"):
    """The ports at which the account is rung."""
    _, bindings = await wire.gateway._registrar.reach(name)
    return {binding.contact.rpartition(":")[2] for binding in bindings}


async def register_other(wire):
    """A phone of 1002 at port 5070."""
    named = {"to": "1002", "call": "c2"}
    challenge = await wire.ask(wire.request("REGISTER", **named))
    headers = [
        "Contact: <sip:1002@192.0.2.10:5070>",
        wire.credentials(challenge, "REGISTER", user="1002"),
    ]
    answer = await wire.ask(wire.request("REGISTER", seq=2, headers=headers, **named))
    assert answer.status == 200


def count_questions(wire, monkeypatch):
    """The snapshots that are taken from now on."""
    taken, read = [], wire.store.read

    def counted():
        taken.append(1)
        return read()

    monkeypatch.setattr(wire.store, "read", counted)
    return taken


async def test_who_was_reached_is_known_until_it_registers_again(wire, monkeypatch):
    await wire.authorized("REGISTER", headers=[contact(5062)])
    assert await reached(wire) == {"5062"}
    questions = count_questions(wire, monkeypatch)
    assert await reached(wire) == {"5062"}
    assert not questions
    await wire.authorized("REGISTER", headers=[contact(5064)], call="c2")
    assert await reached(wire) == {"5062", "5064"}
    await wire.authorized("REGISTER", headers=[contact(5062, expires=0)], seq=9)
    assert await reached(wire) == {"5064"}


async def test_another_account_that_registers_changes_nothing_for_the_first(wire, monkeypatch):
    await wire.authorized("REGISTER", headers=[contact(5062)])
    assert await reached(wire) == {"5062"}
    await register_other(wire)
    questions = count_questions(wire, monkeypatch)
    assert await reached(wire) == {"5062"}
    assert not questions
    assert await reached(wire, "1002") == {"5070"}


async def test_a_contact_that_expired_is_not_rung_however_well_it_was_known(wire):
    await wire.authorized("REGISTER", headers=[contact(5062, expires=60)])
    await wire.authorized("REGISTER", headers=[contact(5064, expires=600)], call="c2")
    wire.clock.advance(45)
    assert await reached(wire) == {"5062", "5064"}
    wire.clock.advance(16)
    assert await reached(wire) == {"5064"}


async def test_an_account_that_was_disabled_meanwhile_is_not_reached_for_long(wire):
    await wire.authorized("REGISTER", headers=[contact(5062, expires=600)])
    account, _ = await wire.gateway._registrar.reach("1001")
    async with wire.store.begin() as uow:
        await uow.sip.put_account(replace(account, disabled=True))
    wire.clock.advance(31)
    assert await wire.gateway._registrar.reach("1001") == (None, ())


async def test_a_register_during_the_question_is_not_lost(wire, monkeypatch):
    """The answer is from before it: it serves the one who asked, and nobody after."""
    await wire.authorized("REGISTER", headers=[contact(5062)])
    read = wire.store.read

    class Overtaken:
        def __init__(self):
            self._reading = read()

        async def __aenter__(self):
            uow = await self._reading.__aenter__()
            await uow.sip.bindings_of("1001")
            monkeypatch.setattr(wire.store, "read", read)
            await wire.authorized("REGISTER", headers=[contact(5064)], call="c2")
            return uow

        async def __aexit__(self, *why):
            await self._reading.__aexit__(*why)

    monkeypatch.setattr(wire.store, "read", Overtaken)
    assert await reached(wire) == {"5062"}
    assert await reached(wire) == {"5062", "5064"}


async def test_where_several_hubs_register_phones_the_store_is_asked_each_time(wire):
    await wire.authorized("REGISTER", headers=[contact(5062)])
    shared = Reached(wire.clock, keeps=False)
    found = await wire.gateway._registrar.reach("1001")
    shared.keep("1001", found, shared.changes, wire.clock.now())
    assert shared.find("1001") is None
