"""Digest (RFC 2617, 7616, 8760): the published vectors, and what the server does with good and bad answers."""

import pytest

from gateways.sip import digest
from gateways.sip.digest import Credentials, Nonces, digest_response, hash_account
from gateways.sip.message import Request
from gateways.sip.origins import Proxies
from gateways.sip.transport import Hop

STRANGER = Hop("198.51.100.7", 5060)


def test_the_vector_of_rfc_2617():
    account = hash_account("Mufasa", "testrealm@host.com", "Circle Of Life")
    fields = Credentials(
        username="Mufasa",
        realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="/dir/index.html",
        response="",
        qop="auth",
        nc="00000001",
        cnonce="0a4f113b",
    )

    assert account.ha1_md5 == "939e7578ed9e3c518a452acee763bce9"
    answer = digest_response("MD5", account.ha1_md5, "GET", fields)
    assert answer == "6629fae49393a05397450978507c4ef1"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_vectors_of_rfc_7616(algorithm, expected):
    account = hash_account("Mufasa", "http-auth@example.org", "Circle of Life")
    fields = Credentials(
        username="Mufasa",
        realm="http-auth@example.org",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        uri="/dir/index.html",
        response="",
        qop="auth",
        nc="00000001",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    ha1 = account.ha1_md5 if algorithm == "MD5" else account.ha1_sha256

    assert digest_response(algorithm, ha1, "GET", fields) == expected


def test_without_qop_the_older_formula_holds():
    account = hash_account("bob", "biloxi.com", "zanzibar")
    fields = Credentials(
        username="bob",
        realm="biloxi.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="sip:bob@biloxi.com",
        response="",
    )

    answer = digest_response("MD5", account.ha1_md5, "INVITE", fields)
    assert answer == "bf57e4e0d0bffc0fbaedce64d59add5e"


def test_both_challenges_come_in_order_with_one_nonce(clock):
    nonces = Nonces(clock, 300)
    nonce = nonces.new()

    assert nonces.is_fresh(nonce)
    assert not nonces.is_fresh(nonce[:-4] + "AAA=")
    assert not nonces.is_fresh("no base64 at all")
    clock.advance(301)
    assert not nonces.is_fresh(nonce)


def test_counts_may_overtake_each_other_but_never_come_twice(clock):
    nonces = Nonces(clock, 300)

    assert [nonces.use("n", count) for count in (1, 3, 2, 3, 1, 4)] == [
        *(True, True, True),
        *(False, False, True),
    ]
    assert nonces.use("n", 100)
    assert not nonces.use("n", 4)
    assert not nonces.use("n", 0)


def test_a_nonce_whose_counts_were_forgotten_is_not_good_again(clock, monkeypatch):
    monkeypatch.setattr(digest, "_MAX_TRACKED", 2)
    nonces = Nonces(clock, 300)
    first = nonces.new("192.0.2.1")
    assert nonces.use(first, 1)
    for _ in range(2):
        clock.advance(1)
        assert nonces.use(nonces.new("192.0.2.2"), 1)

    assert not nonces.is_fresh(first, "192.0.2.1")
    assert nonces.is_fresh(nonces.new("192.0.2.1"), "192.0.2.1")


def test_a_nonce_without_counts_is_good_once(clock):
    nonces = Nonces(clock, 300)

    assert nonces.use("n", None)
    assert not nonces.use("n", None)


async def test_a_stranger_gets_both_challenges(wire):
    answer = await wire.ask(wire.request("REGISTER"))

    first, second = answer.headers.getlist("WWW-Authenticate")
    assert "algorithm=SHA-256" in first
    assert "algorithm=MD5" in second
    assert 'qop="auth"' in first
    assert "stale" not in first


async def test_an_agent_known_to_choke_on_sha256_gets_md5_alone(wire):
    answer = await wire.ask(wire.request("REGISTER", headers=["User-Agent: baresip v1.0.0 (x)"]))

    (only,) = answer.headers.getlist("WWW-Authenticate")
    assert "algorithm=MD5" in only


@pytest.mark.parametrize("password", ["kept-between-us", "guess"])
async def test_an_old_nonce_is_stale_whatever_the_password_is(wire, password):
    challenge = await wire.ask(wire.request("REGISTER"))
    wire.clock.advance(301)
    line = wire.credentials(challenge, "REGISTER", password=password)

    answer = await wire.ask(wire.request("REGISTER", seq=2, headers=[line]))

    assert answer.status == 401
    assert "stale=true" in answer.get("WWW-Authenticate")


async def test_a_nonce_is_good_only_where_it_was_given(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    line = wire.credentials(challenge, "REGISTER")

    answer = await wire.ask(wire.request("REGISTER", seq=2, headers=[line]), STRANGER)

    assert answer.status == 401
    assert "stale=true" in answer.get("WWW-Authenticate")


async def test_guesses_over_a_forged_nonce_shut_nobody_out(wire):
    """Whoever forges a source address never sees the nonce that was sent there."""
    challenge = await wire.ask(wire.request("REGISTER"))
    line = wire.credentials(challenge, "REGISTER", password="guess")
    for n in range(30):
        forged = wire.request("REGISTER", seq=n + 2, call=f"f{n}", headers=[line])
        assert (await wire.ask(forged, STRANGER)).status == 401

    assert (await wire.authorized("REGISTER", source=STRANGER, call="right")).status == 200


async def test_an_overheard_answer_is_no_good_a_second_time(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    line = wire.credentials(challenge, "REGISTER")

    assert (await wire.ask(wire.request("REGISTER", seq=2, headers=[line]))).status == 200
    replayed = await wire.ask(wire.request("REGISTER", seq=3, headers=[line]))
    assert replayed.status == 401


async def test_one_nonce_serves_as_long_as_its_count_grows(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    for count in (1, 2, 3):
        line = wire.credentials(challenge, "REGISTER", nc=f"{count:08x}")
        answer = await wire.ask(wire.request("REGISTER", seq=1 + count, headers=[line]))
        assert answer.status == 200


async def test_known_and_unknown_names_are_answered_alike(wire):
    answers = []
    for user in ("1001", "nobody"):
        challenge = await wire.ask(wire.request("REGISTER", call=user))
        line = wire.credentials(challenge, "REGISTER", user=user, password="guess")
        answers.append(await wire.ask(wire.request("REGISTER", seq=2, call=user, headers=[line])))

    known, unknown = answers
    assert known.status == unknown.status == 401
    assert known.headers.keys() == unknown.headers.keys()


async def test_a_digest_for_another_place_is_refused(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    line = wire.credentials(challenge, "REGISTER", uri="sip:elsewhere.example")

    assert (await wire.ask(wire.request("REGISTER", seq=2, headers=[line]))).status == 401


async def guess(wire, times, source=STRANGER, first=0, **more):
    for n in range(first, first + times):
        answer = await wire.authorized(
            "REGISTER", password="guess", source=source, seq=2 * n + 1, call=f"g{n}", **more
        )
        assert answer.status == 401


async def test_ten_wrong_passwords_close_the_source_for_a_while(wire):
    await guess(wire, 10)

    shut = await wire.authorized("REGISTER", source=STRANGER, call="right")
    assert (shut.status, shut.get("Retry-After")) == (403, "300")
    assert (await wire.authorized("REGISTER", call="elsewhere")).status == 200

    wire.clock.advance(301)
    assert (await wire.authorized("REGISTER", source=STRANGER, call="later")).status == 200


async def test_whoever_goes_on_guessing_is_shut_out_for_twice_as_long(wire):
    waits = []
    for round_ in range(6):
        await guess(wire, 10, first=10 * round_)
        shut = await wire.authorized("REGISTER", source=STRANGER, call=f"right{round_}")
        waits.append(int(shut.get("Retry-After")))
        wire.clock.advance(waits[-1] + 1)

    assert waits == [300, 600, 1200, 2400, 3600, 3600]


async def test_a_closed_door_is_on_record(wire):
    await guess(wire, 10)

    async with wire.store.read() as uow:
        rows = [row for row in await uow.audit.list(None, 10) if row.action == "sip.lockout"]
    assert {(row.actor, row.subject, row.outcome) for row in rows} == {
        (f"sip:{STRANGER.host}", "any", "closed"),
        (f"sip:{STRANGER.host}", "1001", "closed"),
    }
    assert "10 wrong passwords" in rows[0].detail


async def test_unknown_names_are_shut_out_like_known_ones(wire):
    answers = []
    for host, user in (("198.51.100.21", "1001"), ("198.51.100.22", "nobody")):
        source = Hop(host, 5060)
        for n in range(11):
            challenge = await wire.ask(wire.request("REGISTER", seq=2 * n + 1, call=host), source)
            line = wire.credentials(challenge, "REGISTER", user=user, password="guess")
            request = wire.request("REGISTER", seq=2 * n + 2, call=host, headers=[line])
            answers.append((host, (await wire.ask(request, source)).status))

    known = [status for host, status in answers if host.endswith("21")]
    unknown = [status for host, status in answers if host.endswith("22")]
    assert known == unknown == [401] * 10 + [403]


async def test_a_phone_with_an_old_password_does_not_shut_out_its_neighbours(wire):
    """It proved itself before: its failures close its own account at that address alone."""
    stubborn, neighbour = Hop(STRANGER.host, 5071), Hop(STRANGER.host, 5072)
    assert (await wire.authorized("REGISTER", source=stubborn, call="before")).status == 200

    await guess(wire, 10, source=stubborn)

    own = await wire.authorized("REGISTER", source=stubborn, call="own")
    other = await wire.ask(wire.request("REGISTER", to="1002", call="other"), neighbour)
    line = wire.credentials(other, "REGISTER", user="1002")
    beside = wire.request("REGISTER", to="1002", seq=2, call="other", headers=[line])
    assert own.status == 403
    assert (await wire.ask(beside, neighbour)).status == 200


async def test_addresses_of_one_ipv6_network_are_one_source(wire):
    for n in range(10):
        await guess(wire, 1, source=Hop(f"2001:db8::{n + 1}", 5060), first=n)

    shut = await wire.authorized("REGISTER", source=Hop("2001:db8::99", 5060), call="right")
    assert shut.status == 403


def test_behind_a_proxy_of_ours_the_guesser_is_shut_out_and_not_the_proxy():
    proxies, proxy = Proxies(["10.0.0.0/24"]), Hop("10.0.0.5", 5060)
    request = Request("REGISTER", "sip:commhub.test")
    request.headers.setlist(
        "Via",
        [
            "SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKa;received=10.0.0.5, SIP/2.0/TCP 10.0.0.6;branch=z9hG4bKb",
            "SIP/2.0/UDP 192.168.1.2;branch=z9hG4bKc;received=198.51.100.7",
        ],
    )

    assert proxies.origin(request, proxy) == "198.51.100.7"
    assert proxies.origin(request, Hop("203.0.113.1", 5060)) == "203.0.113.1"


async def test_a_proven_phone_is_not_locked_out_by_its_neighbour(wire):
    neighbour = Hop(STRANGER.host, 5099)
    assert (await wire.authorized("REGISTER", source=STRANGER, call="me")).status == 200
    for n in range(10):
        await wire.authorized("REGISTER", password="x", source=neighbour, call=f"g{n}")

    again = await wire.authorized("REGISTER", source=STRANGER, call="me", seq=9)
    assert again.status == 200
