import { readFileSync } from 'node:fs'

import { expect, it } from 'vitest'

import { MOVES } from '../fake/town'

it('the fake hub knows the actions of the real one', () => {
  const source = readFileSync('../commhub/domain/incident.py', 'utf8')
  const table = source.slice(source.indexOf('INCIDENT_MOVES: '), source.indexOf('class Incident:'))
  const actions = [...table.matchAll(/^ {4}Action\.([A-Z_]+): Move\(/gm)].map(([, name = '']) =>
    name.toLowerCase(),
  )
  expect(actions.length).toBeGreaterThan(10)
  expect(MOVES.map((move) => move.action).sort()).toEqual(actions.sort())
})
