"""The picture engine: packets of pictures forwarded, never decoded, in a process of its own (decision 10).

Two kinds of modules. The stream logic is pure — bytes, numbers and the time it is told in, decisions out: `codecs/`
(what a packet says of its picture), `rewriting` (one unbroken stream for a view whatever it is shown), `gop`, `keyframes`,
`layers`, `estimator`, `speaker`, `feedback`, `transport_cc`, `meters`. It is scripted in tests packet by packet.
The rest moves packets and takes orders: the forwarder and its parts, sessions, and the worker's socket to control.
`recorder` writes what arrives into files from a thread of its own.
"""
