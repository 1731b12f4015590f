"""The picture engine: packets of pictures forwarded, never decoded, in a process of its own (decision 10).

Two kinds of modules. The stream logic is pure — bytes, numbers and the time it is told in, decisions out — and scripted in
tests packet by packet: `codecs/` (what a packet says of its picture), `intake`, `rewriting` and `stretches` (one unbroken stream for a
view whatever it is shown, and the way back from a NACK), `feedback` and `transport_cc` (RTCP), `estimator` and `layers` (what a
path carries, which layer that is), `keyframes`, `gop`, `speaker`, `meters`, `frames` (whole pictures out of packets).
The rest moves packets and takes orders: the forwarder and its parts, sessions, and the worker's socket to control.
`recorder` writes what arrives into files (`footage`) from a thread of its own.
"""
