"""Messages out of streams that are split, glued and hostile (RFC 3261 §18.3, RFC 5626 §3.5.1)."""

import random

import pytest

from gateways.sip.framing import Framer, FramingError, Ping

LIMIT = 2_000


def message(number, body="", *, length=None, ends="\r\n"):
    head = [
        f"OPTIONS sip:hub SIP/2.0{ends}Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{number}",
        "From: <sip:a@x>;tag=1",
        "To: <sip:b@x>",
        f"Call-ID: {number}",
        "CSeq: 1 OPTIONS",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return (ends.join(head) + ends * 2 + body).encode()


STREAM = [
    message(1),
    Ping(),
    message(2, "v=0\r\n\r\nOPTIONS sip:not-a-message SIP/2.0\r\n\r\n"),
    message(3, "x" * 900),
    Ping(),
    Ping(),
    message(4),
]
WIRE = b"".join(b"\r\n\r\n" if isinstance(piece, Ping) else piece for piece in STREAM)


def read(*pieces, limit=LIMIT):
    framer = Framer(limit)
    return [found for piece in pieces for found in framer.feed(piece)]


def test_glued_messages_are_told_apart_by_their_lengths():
    assert read(WIRE) == STREAM


def test_every_split_in_two_gives_the_same_messages():
    for cut in range(len(WIRE)):
        assert read(WIRE[:cut], WIRE[cut:]) == STREAM, cut


def test_single_bytes_give_the_same_messages():
    assert read(*(WIRE[i : i + 1] for i in range(len(WIRE)))) == STREAM


@pytest.mark.parametrize("seed", range(20))
def test_random_pieces_give_the_same_messages(seed):
    dice = random.Random(seed)
    cuts = sorted(dice.sample(range(1, len(WIRE)), dice.randint(1, 40)))
    pieces = [WIRE[a:b] for a, b in zip([0, *cuts], [*cuts, len(WIRE)], strict=True)]
    assert read(*pieces) == STREAM


def test_the_compact_and_the_folded_length_count():
    compact = message(1, "body").replace(b"Content-Length:", b"l :")
    folded = message(2, "body").replace(b"Content-Length: ", b"Content-Length:\r\n  ")
    assert read(compact + folded) == [compact, folded]


def test_an_answer_to_a_ping_and_empty_lines_before_a_message_are_passed_over():
    assert read(b"\r\n", b"\r\n" + message(1)) == [Ping(), message(1)]
    assert read(b"\r\n" + message(1)) == [message(1)]


def test_empty_lines_alone_are_no_message_that_has_begun():
    framer = Framer(LIMIT)
    assert list(framer.feed(b"\r\n")) == []
    assert not framer.is_amid
    assert list(framer.feed(b"O")) == []
    assert framer.is_amid


@pytest.mark.parametrize(
    "length",
    ["", "x", "-1", "1.5", "0x10", "99999999999999999999", "1999", "4294967295", "0\r\nl: 5"],
    ids=repr,
)
def test_a_length_that_is_none_ends_the_stream_and_names_the_message(length):
    with pytest.raises(FramingError) as caught:
        read(message(7, length=length))
    assert b"Call-ID: 7" in caught.value.head


def test_a_message_without_a_length_ends_the_stream():
    with pytest.raises(FramingError, match="no Content-Length"):
        read(message(1).replace(b"Content-Length: 0\r\n", b""))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x00" * 10,
        b"\xff\xfe",
        b" OPTIONS",
        b"<xml>",
        b"\n\n\n",
        b"\rO",
        b"\r\n\rO",
    ],
    ids=repr,
)
def test_what_begins_unlike_any_message_ends_the_stream_at_its_first_byte(garbage):
    with pytest.raises(FramingError, match="does not speak SIP"):
        read(garbage)


def test_a_head_without_an_end_is_not_kept_for_ever():
    with pytest.raises(FramingError, match="no end of a head"):
        read(*([b"A" * 100] * 30))


def test_what_came_whole_before_the_garbage_is_not_lost():
    pieces = Framer(LIMIT).feed(message(1) + message(2) + b"\x00\x00")

    assert [next(pieces), next(pieces)] == [message(1), message(2)]
    with pytest.raises(FramingError):
        next(pieces)


@pytest.mark.parametrize("seed", range(200))
def test_no_bytes_raise_anything_else_and_none_are_kept_beyond_the_limit(seed):
    dice = random.Random(seed)
    framer = Framer(LIMIT)
    seedling = bytearray(WIRE)
    for _ in range(dice.randint(1, 30)):
        seedling[dice.randrange(len(seedling))] = dice.choice(b"\r\n:0 9lLA\x00\xff")
    try:
        while seedling:
            piece, seedling = seedling[: dice.randint(1, 300)], seedling[300:]
            for _ in framer.feed(bytes(piece)):
                pass
            assert len(framer._buffer) <= LIMIT + 300
    except FramingError:
        pass
