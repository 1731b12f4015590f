/**
 * The one live socket of a page: hello, snapshot or deltas, a gap means resync, a loss means reconnect.
 *
 * It knows nothing of Vue; what it needs of the world (sockets, timers, chance) is handed in, so that the
 * tests script it.
 */

import type { Delta, Frame, Op, Snapshot } from './frames'

export type Phase = 'idle' | 'connecting' | 'online' | 'offline'

export interface Wire {
  send(text: string): void
  close(): void
  onopen: (() => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number }) => void) | null
}

export interface Handlers {
  snapshot(snapshot: Snapshot): void
  ops(ops: Op[]): void
  phase(phase: Phase): void
  /** The hub closed before it said anything, or said that we are signed out. */
  refused(code: number): void
}

export interface World {
  open(): Wire
  later(work: () => void, ms: number): () => void
  chance(): number
}

/** The hub's close code for a session that is over (docs/protocols/http.md). */
const SIGNED_OUT = 4001

const FIRST_DELAY_MS = 500
const MAX_DELAY_MS = 15_000
// A socket that says nothing at all for this long is asked once more, then taken for dead.
const HELLO_TIMEOUT_MS = 8000

export class LiveSocket {
  private wire: Wire | null = null
  private epoch: string | null = null
  private seq = 0
  private failures = 0
  private opened = false
  private heard = false
  private wanted = false
  private resyncing = false
  private cancelTimer: () => void = () => undefined

  constructor(
    private readonly world: World,
    private readonly handlers: Handlers,
  ) {}

  start(): void {
    if (this.wanted) return
    this.wanted = true
    this.connect()
  }

  /** Close and forget what was known, so that the next user starts from a snapshot. */
  stop(): void {
    this.wanted = false
    this.epoch = null
    this.seq = 0
    this.failures = 0
    this.drop()
    this.handlers.phase('idle')
  }

  /** Try again now instead of after the back-off (the network came back, the page became visible). */
  hurry(): void {
    if (this.wanted && this.wire === null) this.connect()
  }

  private connect(): void {
    this.cancelTimer()
    this.opened = false
    this.heard = false
    this.resyncing = false
    if (this.failures === 0) this.handlers.phase('connecting')
    const wire = this.world.open()
    this.wire = wire
    wire.onopen = () => {
      this.opened = true
      wire.send(JSON.stringify({ op: 'hello', epoch: this.epoch, seq: this.seq }))
    }
    wire.onmessage = (event) => {
      if (wire === this.wire) this.receive(event.data)
    }
    wire.onclose = (event) => {
      if (wire === this.wire) this.lost(event.code)
    }
    this.awaitAnswer(wire, true)
  }

  /** A hub with nothing new may say nothing to a hello; it always answers a resync. */
  private awaitAnswer(wire: Wire, mayAsk: boolean): void {
    this.cancelTimer = this.world.later(() => {
      if (mayAsk && this.opened) {
        this.resync(wire)
        this.awaitAnswer(wire, false)
      } else this.lost(0)
    }, HELLO_TIMEOUT_MS)
  }

  private resync(wire: Wire): void {
    this.resyncing = true
    wire.send(JSON.stringify({ op: 'resync' }))
  }

  private receive(data: unknown): void {
    const frame = parse(data)
    if (frame === null) return
    if (frame.op === 'snapshot') this.takeSnapshot(frame)
    else this.takeDelta(frame)
  }

  private takeSnapshot(snapshot: Snapshot): void {
    this.epoch = snapshot.epoch
    this.seq = snapshot.seq
    this.resyncing = false
    this.handlers.snapshot(snapshot)
    this.alive()
  }

  private takeDelta(delta: Delta): void {
    if (this.resyncing) return
    if (delta.epoch !== this.epoch || delta.from !== this.seq) {
      if (this.wire !== null) this.resync(this.wire)
      return
    }
    this.seq = delta.to
    this.handlers.ops(delta.ops)
    this.alive()
  }

  private alive(): void {
    if (this.heard) return
    this.heard = true
    this.failures = 0
    this.cancelTimer()
    this.handlers.phase('online')
  }

  private lost(code: number): void {
    const wasHeard = this.heard
    this.drop()
    if (!this.wanted) return
    this.handlers.phase('offline')
    if (!wasHeard || code === SIGNED_OUT) this.handlers.refused(code)
    if (!this.wanted) return
    const ceiling = Math.min(FIRST_DELAY_MS * 2 ** this.failures, MAX_DELAY_MS)
    this.failures += 1
    // Jitter over half of the delay: after a restart of the hub the desks must not all come at once.
    const delay = ceiling * (0.5 + this.world.chance() / 2)
    this.cancelTimer = this.world.later(() => this.connect(), delay)
  }

  private drop(): void {
    this.cancelTimer()
    this.cancelTimer = () => undefined
    const wire = this.wire
    this.wire = null
    this.heard = false
    if (wire !== null) {
      wire.onopen = wire.onmessage = wire.onclose = null
      wire.close()
    }
  }
}

function parse(data: unknown): Frame | null {
  if (typeof data !== 'string') return null
  try {
    const frame = JSON.parse(data) as Partial<Frame>
    return frame.op === 'snapshot' || frame.op === 'delta' ? (frame as Frame) : null
  } catch {
    return null
  }
}
