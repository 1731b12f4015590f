"""Twilio: legs on the public telephone network, `tel:+…`, by calls over REST and audio over a WebSocket.

`gateway` is the leg driver, `routes` what Twilio asks of us, `leg` one call's life, `stream` one WebSocket, `voice` its
audio as RTP to the media engine, `ledger` what outlives the process. A leg's media is an ordinary RTP leg of the
engine: Twilio's frames go there from a loopback socket, so nothing of a tick knows that Twilio exists, and the death
of control costs a stream, never the leg.
"""
