import { flushPromises, mount } from '@vue/test-utils'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { defineComponent, h, nextTick, ref } from 'vue'

import type { Listener, Wish } from '@/rooms/session'
import { usePicture, type Picture, type Wanted } from '@/rooms/usePicture'

interface Made {
  wish: Wish
  listener: Listener
  closed: boolean
}

const hub = vi.hoisted(() => ({
  made: [] as Made[],
  asked: [] as { session: string; body: unknown }[],
  refuses: false,
  gate: Promise.resolve(),
}))

vi.mock('@/rooms/session', () => ({
  RoomConnection: class {
    id: string
    firstPictureMs = 1
    private readonly made: Made
    constructor(wish: Wish, listener: Listener) {
      this.made = { wish, listener, closed: false }
      hub.made.push(this.made)
      this.id = `v${hub.made.length}`
    }
    open(): void {
      this.made.listener.phase('opening')
    }
    switched(address: string): void {
      this.made.wish.address = address
    }
    close(): Promise<void> {
      this.made.closed = true
      return Promise.resolve()
    }
  },
}))

vi.mock('@/api/client', () => {
  const client = {
    async PATCH(
      _: string,
      { params, body }: { params: { path: { session: string } }; body: unknown },
    ) {
      hub.asked.push({ session: params.path.session, body })
      await hub.gate
      if (hub.refuses) throw new Error('refused')
    },
  }
  return { api: client, makeClient: () => client, ask: (answer: unknown) => answer }
})

const TILE: Wanted = { room: 'r', source: 's1', layer: 'sub', token: '', hears: false }

/** A page with one picture, which is there already. */
async function shown() {
  const wanted = ref<Wanted | null>(TILE)
  let picture = null as Picture | null
  const page = mount(
    defineComponent(() => {
      picture = usePicture(() => wanted.value)
      return () => h('i')
    }),
  )
  hub.made[0]?.listener.phase('live')
  await nextTick()
  return { wanted, page, picture: () => picture as unknown as Picture }
}

beforeEach(() => {
  hub.made.length = hub.asked.length = 0
  hub.refuses = false
  hub.gate = Promise.resolve()
})

describe('a picture', () => {
  it('is switched to its main stream and back on the connection it has', async () => {
    const { wanted, picture } = await shown()
    for (const layer of ['main', 'sub'] as const) {
      wanted.value = { ...TILE, layer }
      await flushPromises()
      expect(hub.asked.at(-1)).toEqual({ session: 'v1', body: { source: 's1', layer } })
    }
    expect(hub.made).toHaveLength(1)
    expect(hub.made[0]?.wish.address).toBe('/whep/r/s1?layer=sub')
    expect(picture().phase.value).toBe('live')
  })

  it('begins on a new connection where the hub does not switch it, and stays until that one moves', async () => {
    const { wanted } = await shown()
    hub.refuses = true
    wanted.value = { ...TILE, source: 's2' }
    await flushPromises()
    expect(hub.made.map((one) => one.closed)).toEqual([false, false])
    expect(hub.made[1]?.wish.address).toBe('/whep/r/s2?layer=sub')
    hub.made[1]?.listener.phase('live')
    expect(hub.made.map((one) => one.closed)).toEqual([true, false])
  })

  it('begins anew in another room, and when nothing is shown yet', async () => {
    const { wanted } = await shown()
    wanted.value = { ...TILE, room: 'r2' }
    await flushPromises()
    wanted.value = { ...TILE, room: 'r2', layer: 'main' }
    await flushPromises()
    expect(hub.asked).toEqual([])
    expect(hub.made).toHaveLength(3)
  })

  it('asks for the last of several wishes only', async () => {
    const { wanted } = await shown()
    let open = (): void => undefined
    hub.gate = new Promise((resolve) => (open = resolve))
    for (const layer of ['main', 'low', 'sub', 'main'] as const) {
      wanted.value = { ...TILE, layer }
      await nextTick()
    }
    open()
    await flushPromises()
    const layers = hub.asked.map((one) => (one.body as Wanted).layer)
    expect(layers).toEqual(['main', 'main'])
    expect(hub.made[0]?.wish.address).toBe('/whep/r/s1?layer=main')
  })

  it('opens nothing after it has left the page, whatever the hub answers', async () => {
    const { wanted, page } = await shown()
    hub.refuses = true
    wanted.value = { ...TILE, layer: 'main' }
    await nextTick()
    page.unmount()
    await flushPromises()
    expect(hub.made).toHaveLength(1)
    expect(hub.made[0]?.closed).toBe(true)
  })
})
