import { beforeEach, describe, expect, it } from 'vitest'

import type { Op, Snapshot } from '@/live/frames'
import { LiveSocket, type Phase, type Wire } from '@/live/socket'

class ScriptedWire implements Wire {
  sent: unknown[] = []
  closed = false
  onopen: Wire['onopen'] = null
  onmessage: Wire['onmessage'] = null
  onclose: Wire['onclose'] = null

  send(text: string): void {
    this.sent.push(JSON.parse(text))
  }

  close(): void {
    this.closed = true
  }

  say(frame: unknown): void {
    this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) })
  }
}

interface Timer {
  work: () => void
  ms: number
  cancelled: boolean
}

let wires: ScriptedWire[]
let timers: Timer[]
let phases: Phase[]
let snapshots: Snapshot[]
let ops: Op[]
let refusals: number[]
let socket: LiveSocket

const wire = (): ScriptedWire => wires.at(-1) as ScriptedWire
const pending = (): Timer[] => timers.filter((timer) => !timer.cancelled)

function elapse(): void {
  const [next] = pending()
  if (next === undefined) throw new Error('nothing waits')
  next.cancelled = true
  next.work()
}

function connect(seq = 41): void {
  socket.start()
  wire().onopen?.()
  wire().say({ op: 'snapshot', epoch: 'e1', seq, state: {} })
}

beforeEach(() => {
  wires = []
  timers = []
  phases = []
  snapshots = []
  ops = []
  refusals = []
  socket = new LiveSocket(
    {
      open() {
        wires.push(new ScriptedWire())
        return wire()
      },
      later(work, ms) {
        const timer = { work, ms, cancelled: false }
        timers.push(timer)
        return () => {
          timer.cancelled = true
        }
      },
      chance: () => 1,
    },
    {
      snapshot: (snapshot) => snapshots.push(snapshot),
      ops: (more) => ops.push(...more),
      phase: (phase) => phases.push(phase),
      refused: (code) => refusals.push(code),
    },
  )
})

const delta = (from: number, to: number, epoch = 'e1'): unknown => ({
  op: 'delta',
  epoch,
  from,
  to,
  ops: [{ del: 'calls', id: String(to) }],
})

describe('the live socket', () => {
  it('says hello with nothing and is online with the snapshot', () => {
    connect()
    expect(wire().sent).toEqual([{ op: 'hello', epoch: null, seq: 0 }])
    expect(phases).toEqual(['connecting', 'online'])
    expect(snapshots).toHaveLength(1)
  })

  it('hands on deltas that follow one another', () => {
    connect()
    wire().say(delta(41, 42))
    wire().say(delta(42, 45))
    expect(ops.map((op) => 'del' in op && op.id)).toEqual(['42', '45'])
  })

  it('asks for a resync at a gap and takes nothing until the snapshot', () => {
    connect()
    wire().say(delta(43, 44))
    wire().say(delta(44, 45))
    expect(ops).toEqual([])
    expect(wire().sent.slice(1)).toEqual([{ op: 'resync' }])
    wire().say({ op: 'snapshot', epoch: 'e1', seq: 45, state: {} })
    wire().say(delta(45, 46))
    expect(ops).toHaveLength(1)
  })

  it('asks for a resync when the hub began a new epoch', () => {
    connect()
    wire().say(delta(41, 42, 'e2'))
    expect(wire().sent.slice(1)).toEqual([{ op: 'resync' }])
  })

  it('comes back with what it had, later each time, and at once when told to hurry', () => {
    connect()
    wire().onclose?.({ code: 1006 })
    expect(phases.at(-1)).toBe('offline')
    expect(pending().map((timer) => timer.ms)).toEqual([500])
    elapse()
    wire().onclose?.({ code: 1006 })
    expect(pending().map((timer) => timer.ms)).toEqual([1000])
    socket.hurry()
    wire().onopen?.()
    expect(wire().sent).toEqual([{ op: 'hello', epoch: 'e1', seq: 41 }])
    wire().say(delta(41, 42))
    expect(phases.at(-1)).toBe('online')
    expect(snapshots).toHaveLength(1)
  })

  it('never waits longer than the ceiling', () => {
    connect()
    for (let loss = 0; loss < 12; loss += 1) {
      wire().onclose?.({ code: 1006 })
      elapse()
    }
    wire().onclose?.({ code: 1006 })
    expect(pending().map((timer) => timer.ms)).toEqual([15_000])
  })

  it('asks once more where a hello stays unanswered, then takes the socket for dead', () => {
    socket.start()
    wire().onopen?.()
    elapse()
    expect(wire().sent).toEqual([{ op: 'hello', epoch: null, seq: 0 }, { op: 'resync' }])
    const silent = wire()
    elapse()
    expect(silent.closed).toBe(true)
    expect(phases.at(-1)).toBe('offline')
  })

  it('asks who we are when the hub refuses, or says that we are signed out', () => {
    socket.start()
    wire().onclose?.({ code: 1006 })
    expect(refusals).toEqual([1006])
    elapse()
    wire().onopen?.()
    wire().say({ op: 'snapshot', epoch: 'e1', seq: 1, state: {} })
    wire().onclose?.({ code: 4001 })
    expect(refusals).toEqual([1006, 4001])
  })

  it('ignores what is no frame', () => {
    connect()
    wire().say('no json')
    wire().say({ op: 'something' })
    wire().onmessage?.({ data: new ArrayBuffer(3) })
    wire().say(delta(41, 42))
    expect(ops).toHaveLength(1)
  })

  it('forgets everything when it is stopped', () => {
    connect()
    socket.stop()
    expect(wire().closed).toBe(true)
    expect(pending()).toEqual([])
    socket.start()
    wire().onopen?.()
    expect(wire().sent).toEqual([{ op: 'hello', epoch: null, seq: 0 }])
  })
})
