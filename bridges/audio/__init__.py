"""The audio engine: every 20 ms, whatever arrived is mixed per call and sent back, N−1, by a few array operations.

The shape is data-parallel: legs are rows of arrays, packets are rows of arenas, and one tick touches each
array once, so that a leg costs microseconds. Where to look:

- `engine` — the orders control gives and the tick, whose middle is `mixdown`; `thread` keeps the tick's time. `membership` (which leg
  is in which call), `addresses` (where it is reached), `meters` (how it is).
- `sockets` (batch I/O), `receiver` (whose packet is it), `sources` and `learning` (by which address),
  `rtp` (what a packet says), `rings` (when it is heard), `sender` (what goes out).
- `quality` (what is done about a bad path): `depth` (how long to wait), `concealment`, `noise`, `playout` (changes of
  delay), over the `history` of each leg; `reports` with `rtcp` tell far ends how they are received.
- `legs` (the table), `plan` (the table arranged for mixing), `bands` (8 or 16 kHz), `mixer` and `g711` (the
  arithmetic), `stages` (from what waits to samples and back, with `resample` between the bands and `seams` where a
  call changes its band).
- `codecs` (all but G.711), `codings` (which leg speaks which), `lanes` (a leg's codec on the way in), `speakers` (on the
  way out, one encoder for all who hear the same), `packet_times` (packets that are not one tick long), `outbox`
  (packets of any size), `digits` (keys pressed for a leg).
- `groups` (radio groups and their floor, with `airwaves` between frames and samples), `vox`.
- `taps` (what is recorded of a tick), `recorder` with `tracks` and `wav` (how it gets to disk); `prompts` (what is
  played, to whom), `sounds` with `tones` (where it comes from).

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

**A new kind of leg** is one module.

- Another codec over RTP: an object like `codecs.codec.Codec`, entered in `codecs.book.usual_codecs`. Nothing else knows it;
  `test_lanes.test_a_new_codec_is_one_module` adds one in twenty lines.
- Another way to carry RTP (WebRTC): whoever carries the packets calls `engine.plug`, puts what comes into the
  `PacketInbox`, and sends what the tick tells as `PacketOut`. The engine opens no socket for it.
- Another transport altogether (a telephone company's WebSocket): a driver beside the engine that speaks RTP to it over
  loopback.
- Something inside (a prompt, a tap): a step that changes or reads the arrays above.

Then one class and one line in tests/fakes/leg_kinds.py: the matrix shows it against each other kind.
"""
