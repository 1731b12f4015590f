"""SRTP of one leg on packets in place: what passes, what is refused, and what a re-INVITE or a new worker changes."""

import base64
import secrets
import struct
import time
from types import SimpleNamespace

import numpy as np
import pylibsrtp
import pytest

from bridges.transport.srtp import REFUSED, TRAILER, SrtpLeg, missing_names
from commhub.domain.errors import InvalidError
from commhub.ports.media import SrtpKeys

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": (30, 10, pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80),
    "AES_CM_128_HMAC_SHA1_32": (30, 4, pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32),
    "AEAD_AES_128_GCM": (28, 16, pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM),
    "AEAD_AES_256_GCM": (44, 16, pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM),
}
SUITE = "AES_CM_128_HMAC_SHA1_80"


def new_key(suite=SUITE):
    return base64.b64encode(secrets.token_bytes(SUITES[suite][0])).decode()


def keys(suite=SUITE, local=None, remote=None):
    return SrtpKeys(
        suite=suite, local_key=local or new_key(suite), remote_key=remote or new_key(suite)
    )


def turned(pair):
    """The same keys as the far end has them."""
    return SrtpKeys(suite=pair.suite, local_key=pair.remote_key, remote_key=pair.local_key)


def far_end(pair):
    """The far end's sending half, by pylibsrtp's own public face."""
    policy = pylibsrtp.Policy(
        base64.b64decode(pair.remote_key),
        pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=SUITES[pair.suite][2],
    )
    return pylibsrtp.Session(policy)


def packet(sequence, ssrc=7):
    payload = bytes((sequence + i) & 0xFF for i in range(160))
    return struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, sequence * 160, ssrc) + payload


def run(work, data):
    """Do `work` in an arena row; the bytes it left, None when it refused."""
    row = np.zeros(len(data) + TRAILER, np.uint8)
    row[: len(data)] = np.frombuffer(data, np.uint8)
    size = work(row.ctypes.data, len(data))
    return None if size == REFUSED else row[:size].tobytes()


@pytest.mark.parametrize("suite", SUITES)
def test_what_we_protect_the_far_end_opens_and_the_other_way_round(suite):
    pair = keys(suite)
    ours, theirs = SrtpLeg(pair), SrtpLeg(turned(pair))

    for sequence in range(70_000, 70_050):
        closed = run(ours.outward.protect, packet(sequence))
        assert len(closed) == 172 + SUITES[suite][1]
        assert closed[12:172] != packet(sequence)[12:]
        assert run(theirs.inward.unprotect, closed) == packet(sequence)
    closed = far_end(pair).protect(packet(1))
    assert run(ours.inward.unprotect, closed) == packet(1)


@pytest.mark.parametrize("suite", SUITES)
def test_reports_are_protected_too(suite):
    pair = keys(suite)
    ours, theirs = SrtpLeg(pair), SrtpLeg(turned(pair))
    report = struct.pack("!BBHI", 0x80, 201, 1, 7)

    closed = run(ours.outward.protect_rtcp, report)
    assert run(theirs.inward.unprotect_rtcp, closed) == report
    assert run(theirs.inward.unprotect_rtcp, closed) is None
    assert run(theirs.inward.unprotect_rtcp, report) is None


def test_forged_repeated_foreign_and_plain_packets_are_refused():
    pair = keys()
    ours, sender = SrtpLeg(pair), far_end(pair)
    closed = sender.protect(packet(1))
    forged = bytearray(closed)
    forged[40] ^= 1

    assert run(ours.inward.unprotect, bytes(forged)) is None
    assert run(ours.inward.unprotect, packet(1)) is None
    assert run(ours.inward.unprotect, far_end(keys()).protect(packet(1))) is None
    for stub in (b"", closed[:5], closed[:12], closed[:20]):
        assert run(ours.inward.unprotect, stub) is None
    assert run(ours.inward.unprotect, closed) == packet(1)
    assert run(ours.inward.unprotect, closed) is None


def test_late_packets_pass_until_they_are_too_late():
    pair = keys()
    ours, sender = SrtpLeg(pair), far_end(pair)
    closed = [sender.protect(packet(sequence)) for sequence in range(300)]

    assert run(ours.inward.unprotect, closed[299]) == packet(299)
    assert run(ours.inward.unprotect, closed[250]) == packet(250)
    assert run(ours.inward.unprotect, closed[0]) is None


def test_the_sequence_number_wraps_without_a_gap():
    pair = keys()
    ours, sender = SrtpLeg(pair), far_end(pair)

    for sequence in range(65_500, 65_600):
        assert run(ours.inward.unprotect, sender.protect(packet(sequence))) == packet(sequence)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("begins", [0, 1, 30_000, 65_535])
@pytest.mark.parametrize("rollovers", [0, 1, 7])
def test_a_worker_that_takes_over_finds_how_often_the_far_end_has_rolled_over(
    suite, begins, rollovers
):
    pair = keys(suite)
    sender = far_end(pair)
    for sequence in range(begins, begins + 65_536 * rollovers, 16_384):
        sender.protect(packet(sequence))
    now = begins + 65_536 * rollovers

    taking_over = SrtpLeg(pair)
    for sequence in range(now, now + 20):
        closed = sender.protect(packet(sequence))
        assert run(taking_over.inward.unprotect, closed) == packet(sequence)


def test_forgeries_cannot_make_the_search_dear():
    ours = SrtpLeg(keys())
    forged = packet(1) + bytes(10)
    run(ours.inward.unprotect, forged)

    began = time.perf_counter()
    for _ in range(4096):
        assert run(ours.inward.unprotect, forged) is None
    # A search for each would take more than ten seconds.
    assert time.perf_counter() - began < 2


def test_a_direction_whose_key_stays_goes_on_over_a_re_invite():
    pair = keys()
    ours, sender = SrtpLeg(pair), far_end(pair)
    closed = sender.protect(packet(1))
    assert run(ours.inward.unprotect, closed) == packet(1)
    outward = ours.outward

    ours.rekey(pair)
    assert run(ours.inward.unprotect, closed) is None

    changed = keys(local=pair.local_key)
    ours.rekey(changed)
    assert ours.outward is outward
    assert run(ours.inward.unprotect, sender.protect(packet(2))) is None
    assert run(ours.inward.unprotect, far_end(changed).protect(packet(2))) == packet(2)


def test_a_new_ssrc_under_the_same_key_is_another_stream():
    pair = keys()
    ours, theirs = SrtpLeg(pair), SrtpLeg(turned(pair))

    for ssrc in (7, 8):
        closed = run(ours.outward.protect, packet(1, ssrc))
        assert run(theirs.inward.unprotect, closed) == packet(1, ssrc)


@pytest.mark.parametrize(
    ("suite", "key", "reason"),
    [
        ("F8_128_HMAC_SHA1_80", new_key(), "suite"),
        (SUITE, "not base64!", "Base64"),
        (SUITE, base64.b64encode(bytes(29)).decode(), "30 bytes"),
        ("AEAD_AES_128_GCM", new_key(), "28 bytes"),
    ],
)
def test_keys_no_suite_has_are_refused_and_not_repeated(suite, key, reason):
    with pytest.raises(InvalidError, match=reason) as refused:
        SrtpLeg(SrtpKeys(suite=suite, local_key=key, remote_key=key))

    assert key not in str(refused.value)


def test_the_names_below_pylibsrtps_public_face_are_there():
    assert missing_names() == []
    assert missing_names(SimpleNamespace())
