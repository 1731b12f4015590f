"""Digest (RFC 2617, 7616, 8760): the published vectors, and what the server does with good and bad answers."""

import pytest

from gateways.sip.digest import Credentials, Nonces, digest_response, hash_account
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


async def test_an_old_nonce_is_stale_when_the_password_is_right(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    wire.clock.advance(301)
    line = wire.credentials(challenge, "REGISTER")

    answer = await wire.ask(wire.request("REGISTER", seq=2, headers=[line]))

    assert answer.status == 401
    assert "stale=true" in answer.get("WWW-Authenticate")


async def test_an_old_nonce_with_a_wrong_password_is_not_called_stale(wire):
    challenge = await wire.ask(wire.request("REGISTER"))
    wire.clock.advance(301)
    line = wire.credentials(challenge, "REGISTER", password="guess")

    answer = await wire.ask(wire.request("REGISTER", seq=2, headers=[line]))

    assert "stale" not in answer.get("WWW-Authenticate")


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


async def test_ten_wrong_passwords_close_the_source_for_a_while(wire):
    for n in range(10):
        answer = await wire.authorized(
            "REGISTER", password="guess", source=STRANGER, seq=2 * n + 1, call=f"g{n}"
        )
        assert answer.status == 401

    shut = await wire.authorized("REGISTER", source=STRANGER, call="right")
    assert shut.status == 403
    assert (await wire.authorized("REGISTER", call="elsewhere")).status == 200

    wire.clock.advance(301)
    assert (await wire.authorized("REGISTER", source=STRANGER, call="later")).status == 200


async def test_a_proven_phone_is_not_locked_out_by_its_neighbour(wire):
    neighbour = Hop(STRANGER.host, 5099)
    assert (await wire.authorized("REGISTER", source=STRANGER, call="me")).status == 200
    for n in range(10):
        await wire.authorized("REGISTER", password="x", source=neighbour, call=f"g{n}")

    again = await wire.authorized("REGISTER", source=STRANGER, call="me", seq=9)
    assert again.status == 200
