"""One UDP port for all browsers: ICE-lite, DTLS and SRTP, and the SDP that offers them.

`port` owns the socket and sorts datagrams, `peer` is one far end with its keys, `stun` answers connectivity checks,
`sdp` reads offers and writes answers, `private` is the only module that knows what aiortc does not publish.
Nothing here knows sound or pictures: packets go in and out as RTP in the clear.
"""
