import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'

import { applyOp, stateOf, type LiveState, type Op, type Snapshot } from '@/live/frames'
import { useLive } from '@/stores/live'
import { useTimelines } from '@/stores/timelines'

import { call, entry, incident } from './things'

function snapshot(state: Partial<LiveState>, seq = 1): Snapshot {
  return { op: 'snapshot', epoch: 'e', seq, state }
}

/** A hub that changes at random, but the same way every time. */
function* changes(count: number): Generator<Op> {
  let seed = 7
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    // The low bits of this generator hardly vary.
    return (seed >>> 8) % below
  }
  for (let n = 0; n < count; n += 1) {
    const id = `i${next(9)}`
    const kind = next(4)
    if (kind === 0) yield { del: 'incidents', id }
    else if (kind === 1) yield { put: 'calls', id, value: call({ id, title: `call ${n}` }) }
    else yield { put: 'incidents', id, value: incident({ id, title: `incident ${n}` }) }
  }
}

describe('snapshot and deltas', () => {
  beforeEach(() => {
    setActivePinia(createPinia())
  })

  it('equal a fresh snapshot', () => {
    const hub = stateOf(snapshot({}))
    const live = useLive()
    live.takeSnapshot(snapshot({}))
    const ops = [...changes(500)]
    for (const op of ops) applyOp(hub, op)
    for (let at = 0; at < ops.length; at += 7) live.takeOps(ops.slice(at, at + 7))
    const late = useLive(createPinia())
    late.takeSnapshot(snapshot(JSON.parse(JSON.stringify(hub)) as LiveState))
    expect(Object.keys(hub.incidents).length).toBeGreaterThan(0)
    expect(live.state).toEqual(late.state)
  })

  it('leave nothing of the state before a new snapshot', () => {
    const live = useLive()
    live.takeSnapshot(snapshot({ incidents: { i1: incident() } }))
    live.takeSnapshot(snapshot({ calls: { c1: call() } }))
    expect(live.incidents).toEqual([])
    expect(live.calls).toHaveLength(1)
  })

  it('pass over tables and events that this console does not know', () => {
    const live = useLive()
    live.takeSnapshot(snapshot({ incidents: { i1: incident() } }))
    const before = JSON.stringify(live.state)
    const strange = [
      { put: '__proto__', id: 'x', value: 1 },
      { del: 'dragons', id: 'x' },
    ] as unknown as Op[]
    live.takeOps(strange)
    expect(JSON.stringify(live.state)).toBe(before)
  })

  it('keep who has the floor', () => {
    const live = useLive()
    live.takeOps([
      {
        event: 'floor',
        value: { group: 'patrol-1', event: 'taken', talker: 'radio:r12', call_id: 'c1' },
      },
    ])
    expect(live.floors['patrol-1']).toMatchObject({ talker: 'radio:r12', event: 'taken' })
    live.movePhase('idle')
    expect(live.floors).toEqual({})
  })

  it('count the time offline from the first loss', () => {
    const live = useLive()
    live.movePhase('offline')
    const since = live.offlineSince
    live.movePhase('offline')
    expect(live.offlineSince).toBe(since)
    live.movePhase('online')
    expect(live.offlineSince).toBeNull()
  })

  it('bring timeline entries once and in order, and only to timelines that are open', () => {
    const live = useLive()
    const timelines = useTimelines()
    const [first, second] = [entry('call_started'), entry('call_ended')]
    timelines.entries.i1 = []
    live.takeOps([
      { event: 'timeline', value: second },
      { event: 'timeline', value: first },
      { event: 'timeline', value: second },
      { event: 'timeline', value: { ...first, incident_id: 'elsewhere' } },
    ])
    expect(timelines.entries.i1).toEqual([first, second])
    expect(timelines.entries.elsewhere).toBeUndefined()
  })
})
