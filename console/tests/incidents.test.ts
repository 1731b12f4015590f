import { describe, expect, it } from 'vitest'

import type { MoveView, Stage } from '@/api/types'
import { legalMoves, nextMove } from '@/incidents/moves'
import { byUrgency, matches, passes } from '@/incidents/queue'
import { isOnRoad, stepsDone } from '@/incidents/stages'
import { stageTimes } from '@/incidents/times'

import { MOVES } from '../fake/town'
import { entry, incident } from './things'

const actionsOf = (moves: MoveView[]): string[] => moves.map((move) => move.action).sort()

describe('legal actions', () => {
  it('are those whose stage and role both fit', () => {
    expect(actionsOf(legalMoves(MOVES, incident({ stage: 'handled' }), ['dispatcher']))).toEqual([
      'comment',
      'merge',
      'reopen',
      'suspend',
      'verify',
    ])
    expect(actionsOf(legalMoves(MOVES, incident({ stage: 'handled' }), ['responder']))).toEqual([
      'comment',
    ])
    expect(legalMoves(MOVES, incident({ stage: 'handled' }), ['viewer'])).toEqual([])
  })

  it('name the one that carries the incident on', () => {
    const next = (stage: Stage): string | undefined => {
      const it = incident({ stage })
      return nextMove(legalMoves(MOVES, it, ['dispatcher']), it)?.action
    }
    expect(next('registered')).toBe('dispatch')
    expect(next('returned')).toBe('dispatch')
    expect(next('dispatched')).toBe('accept')
    expect(next('handled')).toBe('verify')
    expect(next('verified')).toBe('close')
    expect(next('closed')).toBe('score')
    expect(next('scored')).toBeUndefined()
  })
})

describe('the queue', () => {
  it('puts an untaken SOS first, then what needs a person, then the gravest, then the oldest', () => {
    const sos = incident({ id: 'sos', category: 'sos', level: 1 })
    const taken = incident({ id: 'taken', category: 'sos', level: 1, stage: 'accepted' })
    const flagged = incident({ id: 'flagged', level: 4, needs_attention: 'x: y' })
    const old = incident({ id: 'old', opened_at: '2026-11-20T18:00:00Z' })
    const young = incident({ id: 'young' })
    const sorted = [young, old, flagged, taken, sos].sort(byUrgency).map((one) => one.id)
    expect(sorted).toEqual(['sos', 'flagged', 'taken', 'old', 'young'])
  })

  it('filters by who is awaited', () => {
    expect(passes(incident({ stage: 'dispatched' }), 'waiting')).toBe(true)
    expect(passes(incident({ stage: 'on_scene' }), 'waiting')).toBe(false)
    expect(passes(incident({ stage: 'on_scene' }), 'mine')).toBe(true)
    expect(passes(incident({ needs_attention: 'a: b' }), 'attention')).toBe(true)
  })

  it('finds by number, place and person, all words at once', () => {
    expect(matches(incident(), '0001 中山', [])).toBe(true)
    expect(matches(incident(), '张伟', ['张伟'])).toBe(true)
    expect(matches(incident(), '中山 张伟', [])).toBe(false)
  })
})

describe('the road of stages', () => {
  it('counts what is behind', () => {
    expect(stepsDone('reported')).toBe(0)
    expect(stepsDone('on_scene')).toBe(4)
    expect(stepsDone('returned')).toBe(1)
    expect(isOnRoad('returned')).toBe(false)
    expect(isOnRoad('scored')).toBe(true)
  })

  it('says when each stage was reached', () => {
    const task = {
      id: 't',
      incident_id: 'i1',
      responder_id: 'zhang',
      unit_id: 'u',
      dispatched_at: 'd',
      attempt: 1,
      stage: 'handled' as const,
      accepted_at: 'a',
      on_scene_at: null,
      ended_at: 'h',
      note: null,
    }
    const times = stageTimes(
      incident({ opened_at: 'o', closed_at: 'c' }),
      { incident: incident(), reports: [], tasks: [task], decision: {} },
      [
        entry('incident_registered', {}, { at: 'r' }),
        entry('task_dispatched', {}, { at: 'd' }),
        entry('stage_moved', { before: 'handled', after: 'verified' }, { at: 'v' }),
        entry('stage_moved', { before: 'dispatched', after: 'dispatched' }, { at: 'comment' }),
      ],
    )
    expect(times).toEqual({
      reported: 'o',
      registered: 'r',
      dispatched: 'd',
      accepted: 'a',
      handled: 'h',
      verified: 'v',
      closed: 'c',
    })
  })
})
