"""The audio engine: every 20 ms, whatever arrived is mixed per call and sent back, N−1, by a few array operations.

The shape is data-parallel: legs are rows of arrays, packets are rows of arenas, and one tick touches each
array once, so that a leg costs microseconds. Where to look:

- `engine` — the orders control gives and the tick; `thread` keeps the tick's time.
- `sockets` (batch I/O), `receiver` (whose packet is it), `sources` and `learning` (by which address),
  `rtp` (what a packet says), `rings` (when it is heard), `sender` (what goes out).
- `legs` (the table), `plan` (the table arranged for mixing), `mixer` and `g711` (the arithmetic).
- `groups` (radio groups and their floor), `vox`, `recorder` with `wav`.

A new codec or leg kind writes 20 ms of G.711 or linear samples into a row; nothing after the rings knows
where a voice came from.
"""
