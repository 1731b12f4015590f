import { flushPromises, mount } from '@vue/test-utils'
import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it, vi } from 'vitest'

import type { LegView } from '@/api/types'
import { i18n } from '@/i18n'
import KeyPad from '@/screens/desk/KeyPad.vue'
import LegRow from '@/screens/desk/LegRow.vue'
import { useBench } from '@/stores/bench'
import { useNotices } from '@/stores/notices'
import { useSession } from '@/stores/session'

import { call, leg } from './things'

const plugins = [i18n]

beforeEach(() => {
  setActivePinia(createPinia())
  i18n.global.locale.value = 'zh-CN'
})

describe('the keypad', () => {
  function pad(pressKeys: (leg: LegView, digits: string) => Promise<void>) {
    vi.spyOn(useBench(), 'pressKeys').mockImplementation(pressKeys)
    const props = { leg: leg(), name: '孙磊' }
    return mount(KeyPad, { props, global: { plugins }, attachTo: document.body })
  }

  it('sends what is clicked and what is typed, in that order, and shows it', async () => {
    const sent: string[] = []
    const shown = pad((_, digits) => Promise.resolve(void sent.push(digits)))
    await shown.findAll('.keys button')[0]?.trigger('click')
    await shown.trigger('keydown', { key: '#' })
    await flushPromises()
    expect(sent).toEqual(['1', '#'])
    expect(shown.find('output').text()).toBe('1#')
  })

  it('waits for a key before it sends the next', async () => {
    const sent: string[] = []
    let arrive: () => void = () => undefined
    const shown = pad((_, digits) => {
      sent.push(digits)
      return new Promise((resolve) => (arrive = resolve))
    })
    await shown.trigger('keydown', { key: '4' })
    await shown.trigger('keydown', { key: '2' })
    await flushPromises()
    expect(sent).toEqual(['4'])
    arrive()
    await flushPromises()
    expect(sent).toEqual(['4', '2'])
  })

  it('keeps its digits from the shortcuts of the desk, and leaves them everything else', async () => {
    const heard: string[] = []
    const listen = (event: KeyboardEvent): void => void heard.push(event.key)
    addEventListener('keydown', listen)
    const shown = pad(() => Promise.resolve())
    for (const key of ['5', 'g', 'Escape']) await shown.trigger('keydown', { key })
    removeEventListener('keydown', listen)
    expect(heard).toEqual(['g'])
    expect(shown.emitted('done')).toHaveLength(1)
  })

  it('presses once however long a key is held, and says when the hub refuses', async () => {
    const sent: string[] = []
    const shown = pad((_, digits) => {
      sent.push(digits)
      return Promise.reject(new Error('gone'))
    })
    const told = vi.spyOn(useNotices(), 'attempt')
    await shown.trigger('keydown', { key: '7' })
    await shown.trigger('keydown', { key: '7', repeat: true })
    await flushPromises()
    expect(sent).toEqual(['7'])
    expect(await told.mock.results[0]?.value).toBe(false)
  })
})

describe('a leg of a call', () => {
  function dial(more: Partial<LegView>, role: 'dispatcher' | 'viewer' = 'dispatcher') {
    useSession().principal = { id: 'u', name: 'c', kind: 'user', display_name: '', roles: [role] }
    const one = leg(more)
    const props = { leg: one, call: call({ legs: [one] }), others: [], nameOf: () => '' }
    return mount(LegRow, { props, global: { plugins } }).find('button.dial')
  }

  it('has keys when it is a telephone, and only there', () => {
    expect(dial({ endpoint: 'tel:+8657112345' }).exists()).toBe(true)
    expect(dial({ endpoint: 'radio:r12' }).exists()).toBe(false)
    expect(dial({}, 'viewer').exists()).toBe(false)
  })

  it('takes no keys before it is answered', () => {
    expect(dial({ state: 'ringing' }).attributes('disabled')).toBeDefined()
    expect(dial({}).attributes('disabled')).toBeUndefined()
  })
})
