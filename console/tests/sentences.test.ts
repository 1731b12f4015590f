import { readFileSync } from 'node:fs'

import { afterAll, beforeEach, describe, expect, it } from 'vitest'

import { i18n, LOCALES, term, type Locale, type Vocabulary } from '@/i18n'
import { clockFace } from '@/live/durations'
import type { Context } from '@/timeline/sentence'
import { RENDERERS, sentenceOf } from '@/timeline/sentences'

import { EXAMPLES } from './examples'
import { entry } from './things'

const FACTS = ['facts', 'call_facts', 'room_facts', 'tier_facts']
  .map((file) => readFileSync(`../commhub/domain/${file}.py`, 'utf8'))
  .join('\n')
const KINDS = [...FACTS.matchAll(/^class (\w+)\(Fact\)/gm)].map(([, name = '']) =>
  name.replace(/(?<!^)(?=[A-Z])/g, '_').toLowerCase(),
)

function contextIn(locale: Locale): Context {
  i18n.global.locale.value = locale
  return {
    locale,
    words: {
      t: (key, params = {}) => i18n.global.t(key, params),
      term: (vocabulary, value, params) => term(vocabulary as Vocabulary, value, params),
      moment: (at) => `at ${at}`,
      span: clockFace,
      list: (items) => items.join(', '),
    },
    names: {
      responder: (id) => ({ zhang: '张伟', li: '李娜' })[id] ?? id,
      endpoint: (endpoint) =>
        ({ 'sip:1001': '值班台', 'radio:patrol-1': '巡防组' })[endpoint] ?? endpoint,
      device: (id) => ({ b7: '记录仪 7' })[id] ?? id,
      hub: (id) => ({ d1: '区指挥中心' })[id] ?? id,
      incident: () => '20261120-0009',
      me: { actor: 'user:chen', name: '陈晨' },
    },
  }
}

describe('the sentences of the timeline', () => {
  beforeEach(() => {
    i18n.global.locale.value = 'zh-CN'
  })
  afterAll(() => {
    i18n.global.locale.value = 'zh-CN'
  })

  it('are known for every kind of fact of the hub', () => {
    expect(KINDS.length).toBeGreaterThan(20)
    expect(KINDS.filter((kind) => !(kind in RENDERERS))).toEqual([])
    expect(KINDS.filter((kind) => !(kind in EXAMPLES))).toEqual([])
  })

  for (const [kind, examples] of Object.entries(EXAMPLES)) {
    it(`say ${kind} in both languages`, () => {
      for (const { data, actor, zh, en } of examples) {
        const fact = entry(kind, data, { actor: actor ?? 'system' })
        expect(sentenceOf(fact, contextIn('zh-CN')).text).toContain(zh)
        expect(sentenceOf(fact, contextIn('en')).text).toContain(en)
      }
    })
  }

  it('bear data that is missing or of the wrong type', () => {
    for (const locale of LOCALES) {
      for (const kind of KINDS) {
        for (const data of [
          {},
          { ranked: 'x', legs: 5, outcome: null, reasons: [1], attempt: 'y' },
        ]) {
          const sentence = sentenceOf(entry(kind, data), contextIn(locale))
          expect(sentence.text).not.toContain('timeline.')
          expect(sentence.text).not.toContain('undefined')
        }
      }
    }
  })

  it('show a kind that is newer than this console by its name and data', () => {
    const sentence = sentenceOf(
      entry('drone_launched', { drone: 'd1', at: [1, 2] }),
      contextIn('en'),
    )
    expect(sentence.text).toBe('drone launched')
    expect(sentence.chips).toEqual([
      ['drone', 'd1'],
      ['at', '1, 2'],
    ])
  })

  it('keep people’s own words as a quotation', () => {
    const fact = entry('report_received', {
      source: 'sip',
      category: 'fire',
      text: '<b>三楼着火</b>',
    })
    expect(sentenceOf(fact, contextIn('zh-CN')).quote).toBe('<b>三楼着火</b>')
  })
})
