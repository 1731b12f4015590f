import { readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { hasTerm, i18n, term, type Vocabulary } from '@/i18n'
import { attentionsInWords } from '@/incidents/attention'
import { reasonInWords, reasonsInWords } from '@/timeline/reasons'
import type { Words } from '@/timeline/names'

/** The values of a StrEnum in the hub's source. */
function valuesOf(file: string, name: string): string[] {
  const source = readFileSync(`../commhub/${file}`, 'utf8')
  const body = new RegExp(`^class ${name}\\(StrEnum\\):\\n((?:[ ].*\\n|\\n)+)`, 'm').exec(
    source,
  )?.[1]
  return [...(body ?? '').matchAll(/^ {4}[A-Z_]+ = "([^"]+)"/gm)].map(([, value = '']) => value)
}

const ENUMS: [file: string, name: string, vocabulary: Vocabulary][] = [
  ['domain/incident.py', 'Stage', 'stage'],
  ['domain/incident.py', 'Action', 'action'],
  ['domain/incident.py', 'Action', 'done'],
  ['domain/task.py', 'TaskStage', 'task'],
  ['domain/task.py', 'TaskAction', 'taskDone'],
  ['domain/people.py', 'Loop', 'loop'],
  ['domain/people.py', 'Role', 'role'],
  ['domain/people.py', 'Scheme', 'scheme'],
  ['domain/call.py', 'LegState', 'leg'],
  ['domain/call.py', 'Cause', 'cause'],
  ['domain/room.py', 'RoomMode', 'roomMode'],
  ['domain/room.py', 'RoomRole', 'roomRole'],
  ['domain/room.py', 'ParticipantKind', 'participantKind'],
  ['domain/room.py', 'ParticipantState', 'participantState'],
  ['domain/room.py', 'SourceKind', 'sourceKind'],
  ['domain/room.py', 'SourceState', 'sourceState'],
  ['domain/roll_call.py', 'Verdict', 'verdict'],
  ['domain/message.py', 'DeliveryState', 'delivery'],
  ['domain/message.py', 'CardAction', 'ack'],
  ['domain/tier.py', 'Tier', 'tier'],
  ['domain/tier.py', 'Relation', 'relation'],
  ['domain/tier.py', 'ShareState', 'shareState'],
  ['domain/tier.py', 'ShareRight', 'shareRight'],
  ['domain/tier.py', 'CheckInState', 'checkIn'],
  ['domain/tier.py', 'SupervisionState', 'supervision'],
  ['domain/tier_rooms.py', 'CascadeState', 'cascade'],
  ['domain/report.py', 'Source', 'source'],
  ['domain/device.py', 'DeviceKind', 'device'],
  ['domain/timer.py', 'ClockName', 'clock'],
  ['incidents/attention.py', 'Why', 'attention'],
  ['ports/inside.py', 'AckEffect', 'effect'],
]

const words: Words = {
  t: (key, params = {}) => i18n.global.t(key, params),
  term: (vocabulary, value, params) => term(vocabulary as Vocabulary, value, params),
  moment: (at) => at,
  span: String,
  list: (items) => items.join('、'),
}

describe('the words of the console', () => {
  for (const [file, name, vocabulary] of ENUMS) {
    it(`cover every ${name} of the hub (${vocabulary})`, () => {
      const values = valuesOf(file, name)
      expect(values.length).toBeGreaterThan(0)
      expect(values.filter((value) => !hasTerm(vocabulary, value))).toEqual([])
    })
  }

  it('show a value we have no word for as the hub said it', () => {
    expect(term('category', 'dragon')).toBe('dragon')
    expect(term('stage', 'constructor')).toBe('constructor')
    expect(term('stage', null)).toBe('')
  })

  it('find values that contain dots', () => {
    expect(term('op', 'sos.ack')).toBe('求助确认')
  })

  it('explain why an incident needs a person, a line a reason', () => {
    expect(attentionsInWords('default_rule: no rule\nnew_code: look here')).toEqual([
      '规则未命中，请人工研判',
      'look here',
    ])
    expect(attentionsInWords(null)).toEqual([])
  })

  it('name who at another hub wants something, and what', () => {
    expect(attentionsInWords('tier_returned: 区中心 (王琳): 不属我辖区')).toEqual([
      '对方退回：区中心 (王琳): 不属我辖区',
    ])
    expect(attentionsInWords('tier_no_show: 水务局 has not checked in')).toEqual([
      '有部门逾期未报到',
    ])
  })

  it('explain a ranking', () => {
    expect(reasonInWords('distance_m=120', words)).toBe('距离 120 米')
    expect(reasonInWords('team=patrol', words)).toBe('巡防队伍')
    expect(reasonInWords('missing_skills=hazmat+boat', words)).toBe('缺少技能 危化、舟艇')
    expect(reasonInWords('phase_of_moon=3', words)).toBe('phase_of_moon=3')
    expect(reasonsInWords('off_duty, capacity=3/3', words)).toBe('未在岗、任务已满 3/3')
  })
})
