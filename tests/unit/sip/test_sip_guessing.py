"""Whoever guesses numbers or passwords learns nothing, neither from an answer nor from the time it takes.

Time is not measured, it would be a matter of luck: work is. Each function of the gate-keeping that runs between a request
and its answer is counted by name, with the digests made and the questions to the store, and the counts must be equal.
What is not counted is the translation of the one row that is there when a name is: some microseconds of an answer that
waits for the store.
"""

import re
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fakes.waiting import eventually

from gateways.sip import digest, hash_account
from gateways.sip.transport import Hop

STRANGER = Hop("198.51.100.7", 5060)
WATCHED = re.compile(r"/gateways/sip/(digest|accounts|lockout|doorman|origins)\.py$")
CHALLENGED = ["REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE"]
QUESTION = "find_account"
NOBODY, KNOWN = "7777", "1001"
methods = pytest.mark.parametrize("method", CHALLENGED)


@contextmanager
def counted(work):
    """How often each function that is watched is called. One that waited and goes on was not called again: how often the
    store makes it wait is a matter of luck."""
    begun = set()

    def note(frame, event, _):
        code = frame.f_code
        if event != "call" or frame in begun:
            return
        if WATCHED.search(code.co_filename) or code.co_name == QUESTION:
            begun.add(frame)
            work[f"{code.co_filename.rpartition('/')[2]}:{code.co_qualname}"] += 1

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(former)


@pytest.fixture
def hashes(monkeypatch):
    """How often each algorithm ran."""
    runs = Counter()

    def counting(name, hashed):
        def run(data):
            runs[name] += 1
            return hashed(data)

        return run

    for name, hashed in list(digest.ALGORITHMS.items()):
        monkeypatch.setitem(digest.ALGORITHMS, name, counting(name, hashed))
    return runs


@pytest.fixture(autouse=True)
async def warm(wire, hashes):
    """What is made at its first use and kept (statements, names of sources) is made before anything is counted."""
    for n in range(11):
        await guess(wire, hashes, "REGISTER", NOBODY, Hop("198.51.100.99", 5060 + n))
    await wire.ask(wire.request("REGISTER", call="warm"), STRANGER)


async def guess(wire, hashes, method, user, source):
    """(work, hashes, answer) of one wrong password."""
    call = f"{method}-{user}-{source.host}"
    extra = ["Event: dialog"] if method == "SUBSCRIBE" else []
    first = wire.request(method, to=user, call=call, headers=extra)
    challenge = await wire.ask(first, source)
    line = wire.credentials(challenge, method, user=user, password="guess")
    request = wire.request(method, seq=2, to=user, call=call, headers=[*extra, line])
    hashes.clear()
    work = Counter()
    with counted(work):
        answer = await wire.ask(request, source)
    return work, dict(hashes), answer


def without_chance(answer):
    """An answer without what is random or was repeated from the request."""
    headers = [name for name in answer.headers.keys() if name not in {"Via", "To", "From"}]  # noqa: SIM118 - no mapping
    challenges = [
        re.sub('nonce="[^"]+"', "nonce", text)
        for name in headers
        if "Authenticate" in name
        for text in answer.headers.getlist(name)
    ]
    return answer.status, sorted(headers), challenges, len(answer.body)


@methods
async def test_a_wrong_password_is_the_same_work_for_every_name(wire, hashes, method):
    """Of a phone that was never seen, of one that proved itself a moment ago, of a disabled account, of nobody."""
    async with wire.store.begin() as uow:
        disabled = replace(hash_account("1003", "commhub.test", "x"), disabled=True)
        await uow.sip.put_account(disabled)
    assert (await wire.authorized("REGISTER", call="before")).status == 200
    sources = [Hop(f"198.51.100.{n}", 5060) for n in range(4)]
    names = [NOBODY, "1002", KNOWN, "1003"]

    results = [
        await guess(wire, hashes, method, name, source)
        for name, source in zip(names, sources, strict=True)
    ]

    unknown = results[0]
    assert unknown[0]["digest.py:Authenticator._proves"] >= 1
    assert sum(times for name, times in unknown[0].items() if QUESTION in name) == 1
    assert sum(unknown[1].values()) >= 2
    for work, ran, answer in results[1:]:
        assert work == unknown[0]
        assert ran == unknown[1]
        assert without_chance(answer) == without_chance(unknown[2])


@pytest.mark.parametrize("method", [*CHALLENGED, "OPTIONS"])
async def test_a_stranger_cannot_tell_which_numbers_there_are(wire, method):
    extra = ["Event: dialog"] if method == "SUBSCRIBE" else []
    answers, works = [], []
    for number in (KNOWN, NOBODY):
        work = Counter()
        request = wire.request(
            method, to=number, uri=f"sip:{number}@commhub.test", call=number, headers=extra
        )
        with counted(work):
            answers.append(await wire.ask(request, STRANGER))
        works.append(work)

    assert without_chance(answers[0]) == without_chance(answers[1])
    assert works[0] == works[1]
    assert not any("accounts" in name or "find_account" in name for name in works[0])


async def test_a_name_that_is_shut_out_is_the_same_work_whether_it_exists_or_not(wire, hashes):
    """The eleventh guess, and the ten before it: at one door each."""
    results = []
    for name, host in ((KNOWN, "198.51.100.21"), (NOBODY, "198.51.100.22")):
        trail = []
        for n in range(11):
            source = Hop(host, 5060 + n)
            work, ran, answer = await guess(wire, hashes, "REGISTER", name, source)
            trail.append((work, ran, answer.status))
        results.append(trail)

    assert results[0] == results[1]
    assert [status for _, _, status in results[0]] == [401] * 10 + [403]


async def test_a_shut_out_source_is_on_record_once_for_each_door(wire, hashes):
    for n in range(12):
        await guess(wire, hashes, "REGISTER", KNOWN, Hop("198.51.100.30", 5060 + n))

    async def on_record():
        async with wire.store.read() as uow:
            rows = await uow.audit.list(None, 20)
        return [row.subject for row in rows if row.actor == "sip:198.51.100.30"]

    assert sorted(await eventually(on_record)) == ["1001", "any"]
