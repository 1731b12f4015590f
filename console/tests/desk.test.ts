import { mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'

import type { ResponderView } from '@/api/types'
import { i18n } from '@/i18n'
import { actionOf, nameOfKey } from '@/keys/keys'
import { isHit, treeOf } from '@/screens/desk/book'
import QueueRow from '@/screens/desk/QueueRow.vue'
import ActionBar from '@/screens/incident/ActionBar.vue'
import { useAlerts } from '@/stores/alerts'
import { useIncidents } from '@/stores/incidents'
import { useLive } from '@/stores/live'
import { useSession } from '@/stores/session'
import { tablesOf } from '@/timeline/trace'

import { MOVES } from '../fake/town'
import { call, incident, leg } from './things'

import { shared } from './tier-things'

const plugins = [i18n]

beforeEach(() => {
  setActivePinia(createPinia())
  sessionStorage.clear()
  i18n.global.locale.value = 'zh-CN'
})

describe('the action bar', () => {
  function buttons(stage: 'handled' | 'on_scene', role: 'dispatcher' | 'viewer'): string[] {
    useIncidents().moves = MOVES
    useSession().principal = { id: 'u', name: 'c', kind: 'user', display_name: '', roles: [role] }
    const bar = mount(ActionBar, { props: { incident: incident({ stage }) }, global: { plugins } })
    return bar
      .findAll('button')
      .map((one) => `${one.text()}${one.element.disabled ? ' (off)' : ''}`)
  }

  it('offers what is legal, the next step first', () => {
    expect(buttons('handled', 'dispatcher')).toEqual(['核查通过', '挂账', '重开', '并案', '备注'])
  })

  it('keeps what an open task forbids in sight, but off', () => {
    expect(buttons('on_scene', 'dispatcher')).toContain('处理完成 (off)')
  })

  it('offers nothing to a viewer', () => {
    expect(buttons('handled', 'viewer')).toEqual([])
  })
})

describe('a row of the queue', () => {
  it('shows data as text, never as markup', () => {
    const title = '<img src=x onerror=alert(1)>'
    const row = mount(QueueRow, {
      props: { incident: incident({ title }), selected: false },
      global: { plugins },
    })
    expect(row.find('img').exists()).toBe(false)
    expect(row.text()).toContain(title)
  })
})

describe('the strip', () => {
  it('shows an SOS until somebody took it, flashing until it was seen here', () => {
    const live = useLive()
    const alerts = useAlerts()
    live.state.incidents.s = incident({ id: 's', category: 'sos' })
    expect(alerts.unseen.map((one) => one.id)).toEqual(['s'])
    alerts.acknowledge('s')
    expect(alerts.unseen).toEqual([])
    expect(alerts.alerts).toHaveLength(1)
    live.state.incidents.s = incident({ id: 's', category: 'sos', stage: 'accepted' })
    expect(alerts.alerts).toEqual([])
  })

  it('shows a caller who waits, behind an SOS', () => {
    const live = useLive()
    const ringing = leg({ id: 'in', direction: 'inbound', state: 'ringing' })
    live.state.calls.c = call({ id: 'c', legs: [ringing] })
    live.state.incidents.s = incident({ id: 's', category: 'sos' })
    expect(useAlerts().alerts.map((one) => one.kind)).toEqual(['sos', 'incoming'])
  })
})

describe('the address book', () => {
  const responder: ResponderView = {
    id: 'zhang',
    name: '张伟',
    unit_id: 'p',
    skills: [],
    grids: [],
    endpoints: ['radio:r12', 'sip:1001'],
    on_duty: true,
    leads: false,
    capacity: 3,
    position: null,
  }
  const tree = treeOf(
    {
      units: [
        { id: 'p', name: '巡防队', team: 'patrol', loop: 'street' },
        { id: 'empty', name: '空单位', team: 'x', loop: 'street' },
      ],
      responders: [responder],
      devices: [],
      phones: [
        { name: '1001', display_name: 'a', responder_id: 'zhang', online: true, agent: null },
        { name: '1009', display_name: 'b', responder_id: null, online: true, agent: null },
      ],
      groups: ['patrol-1'],
      nameOf: (endpoint) => endpoint,
      shared: [
        shared({ endpoint: 'radio:r7@street-a', label: '对讲 7' }),
        shared({ endpoint: null, subject: 'unit:water' }),
      ],
      hubName: (hub) => ({ 'street-a': '东街' })[hub] ?? hub,
    },
    { groups: '对讲组', others: '其他', sharedBy: (name) => `${name}（共享）` },
  )

  it('lists groups, units with their people, what neighbours share, and what nobody carries', () => {
    const shape = tree.map((node) => [node.label, node.children?.map((child) => child.label)])
    expect(shape).toEqual([
      ['对讲组', ['radio:patrol-1']],
      ['巡防队', ['张伟']],
      ['东街（共享）', ['radio:r7@street-a']],
      ['其他', ['sip:1009']],
    ])
  })

  it('finds a person by an endpoint', () => {
    const person = tree[1]?.children?.[0]
    expect(person && isHit(person, 'r12')).toBe(true)
    expect(person && isHit(person, 'r13')).toBe(false)
  })
})

describe('keys', () => {
  const press = (
    key: string,
    target: HTMLElement,
    more: KeyboardEventInit = {},
  ): string | undefined => {
    const event = new KeyboardEvent('keydown', { key, bubbles: true, ...more })
    target.dispatchEvent(event)
    return actionOf(event)
  }

  it('mean nothing while one types, but for those that work everywhere', () => {
    const input = document.body.appendChild(document.createElement('input'))
    expect(press('g', document.body)).toBe('group')
    expect(press('g', input)).toBeUndefined()
    expect(press('k', input, { ctrlKey: true })).toBe('palette')
    expect(press('F4', input)).toBe('hangUp')
  })

  it('are named as the list shows them', () => {
    expect(nameOfKey({ key: 'Escape', ctrlKey: false, metaKey: false, altKey: false })).toBe('Esc')
    expect(nameOfKey({ key: 'k', ctrlKey: true, metaKey: false, altKey: false })).toBe('Ctrl+K')
  })
})

describe('the rule trace', () => {
  it('names the row that matched and the values it read', () => {
    const [table, ...rest] = tablesOf({
      mode: 'normal',
      assign: {
        row: 1,
        rows: 24,
        is_default: false,
        when: { category: '"sos"' },
        read: { category: 'sos', level: 4 },
        result: { team: 'patrol', skills: [] },
      },
    })
    expect(rest).toEqual([])
    expect(table).toMatchObject({ name: 'assign', row: 1, rows: 24, isDefault: false })
    expect(table?.read[0]).toEqual({ column: 'category', condition: '"sos"', value: 'sos' })
    expect(table?.read[1]).toEqual({ column: 'level', condition: '', value: '4' })
    expect(table?.result).toEqual([
      ['team', 'patrol'],
      ['skills', '—'],
    ])
  })
})
