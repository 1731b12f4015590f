"""The audio engine: every 20 ms, whatever arrived is mixed per call and sent back, N−1, by a few array operations.

The shape is data-parallel: legs are rows of arrays, packets are rows of arenas, and one tick touches each
array once, so that a leg costs microseconds. Where to look:

- `engine` — the orders control gives and the tick; `thread` keeps the tick's time.
- `sockets` (batch I/O), `receiver` (whose packet is it), `sources` and `learning` (by which address),
  `rtp` (what a packet says), `rings` (when it is heard), `sender` (what goes out).
- `quality` (what is done about a bad path): `depth` (how long to wait), `concealment`, `noise`, `playout` (changes of
  delay), over the `history` of each leg; `reports` with `rtcp` tell far ends how they are received.
- `legs` (the table), `plan` (the table arranged for mixing), `bands` (8 or 16 kHz), `mixer` and `g711` (the
  arithmetic), `stages` (from what waits to samples and back, with `resample` between the bands).
- `groups` (radio groups and their floor), `vox`, `recorder` with `wav`.

**The steps of a tick.** A call is narrow while all its legs are G.711, wide as soon as one is not; the narrow and
the wide calls are two `stages`, arrays of different width and nothing else. A stage has `band` (`rate`, `frame`),
`plan` (`rows[place]` is a leg's row, `line[place]` and `place_of_call[call.index]` its call's line among the totals) and
`mixer`, whose arrays are what the steps hand on, once per stage:

1. `stage.listen(tick)` reads the rings and decodes: `mixer.voice` (places×frame, int16), what each place says, and
   `mixer.missing` (places), who had nothing to say.
2. In it, `quality` conceals what is missing and changes delays: `voice` is whole, and `missing` who really is silent.
3. Shaping (gain, limit, mute, listen-only) may change `voice`.
4. `mixer.total()`: `mixer.totals` (calls×frame, int32), what all legs of a call say together.
5. Radio groups hear `totals` and add what is on their air.
6. Prompts to whole calls add to `totals`; then the record taps read `totals` and `voice`.
7. `mixer.subtract()`: `mixer.mix` (places×frame, int32), what each place hears, its own voice subtracted.
8. Prompts and whispers to single legs, digits in band and listening rights change `mix`.
9. `mixer.clip()` makes `mixer.heard` (places×frame, int16); `stage.speak()` encodes it, the sender sends it.

State that outlives a tick is kept by row or call id, never by place: places change with every new plan.
"""
