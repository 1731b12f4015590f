/**
 * One picture on the page. When another source or another layer is wanted, the hub switches it on the connection there is; where
 * it cannot, the old picture stays until the first frame of a new connection is there, so nobody looks at a black
 * tile. While it cannot be seen, nothing is sent to it.
 */

import { onBeforeUnmount, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

import { api, ask, makeClient } from '@/api/client'
import type { Layer } from '@/api/rooms'

import { viewAddress } from './address'
import type { Figures } from './figures'
import { prepareView } from './publishing'
import { RoomConnection, type Phase } from './session'

export interface Wanted {
  room: string
  source: string
  layer: Layer
  token: string
  /** Its own sound comes with it, where it has any: a body camera's live view. */
  hears: boolean
}

export interface Picture {
  stream: ShallowRef<MediaStream | null>
  phase: Ref<Phase>
  failure: ShallowRef<unknown>
  figures: Ref<Figures | null>
  firstPictureMs: Ref<number | null>
  again: () => void
}

interface View {
  wish: Wanted
  connection: RoomConnection
  stream: MediaStream | null
}

/** Whether the hub shows it in the view from now on. */
async function switchView(session: string, wish: Wanted): Promise<boolean> {
  const client = wish.token === '' ? api : makeClient(wish.token)
  const params = { path: { id: wish.room, session } }
  const body = { source: wish.source, layer: wish.layer }
  try {
    await ask(client.PATCH('/rooms/{id}/views/{session}', { params, body }))
    return true
  } catch {
    // A new view finds the same out, and says why.
    return false
  }
}

/** `wanted` null: nothing, for now. */
export function usePicture(wanted: () => Wanted | null): Picture {
  const stream = shallowRef<MediaStream | null>(null)
  const phase = ref<Phase>('opening')
  const failure = shallowRef<unknown>(null)
  const figures = ref<Figures | null>(null)
  const firstPictureMs = ref<number | null>(null)
  let shown: View | null = null
  let coming: View | null = null
  let turns = 0
  let turning: Promise<boolean> = Promise.resolve(true)

  function drop(view: View | null): void {
    void view?.connection.close()
  }

  function clear(): void {
    turns += 1
    const [a, b] = [shown, coming]
    shown = coming = null
    drop(a)
    drop(b)
    stream.value = null
    figures.value = null
    phase.value = 'opening'
  }

  function begin(wish: Wanted): void {
    drop(coming)
    failure.value = null
    const view: View = {
      wish,
      stream: null,
      connection: new RoomConnection(
        {
          address: viewAddress(wish.room, wish.source, wish.layer),
          token: wish.token,
          watches: true,
          prepare: (peer) => prepareView(peer, wish.hears),
        },
        {
          phase: (next, error) => move(view, next, error),
          track: (event) => {
            // Picture and sound are one to look at and hear, whether or not the hub names a stream for both.
            const others = view.stream?.getTracks().filter((one) => one.kind !== event.track.kind)
            view.stream = new MediaStream([...(others ?? []), event.track])
            if (view === shown || shown === null) stream.value = view.stream
          },
          figures: (next) => {
            if (view === shown) figures.value = next
          },
        },
      ),
    }
    coming = view
    if (shown === null) phase.value = 'opening'
    view.connection.open()
  }

  /** On the connection that shows something already; anew when it shows nothing, or the hub will not. */
  async function turn(wish: Wanted): Promise<void> {
    const view = shown
    const fits = view?.wish.room === wish.room && view.wish.token === wish.token
    if (view === null || coming !== null || phase.value !== 'live' || !fits) {
      begin(wish)
      return
    }
    const asked = ++turns
    // One after the other, so that the last wish is the one that stands; what was overtaken is not asked for.
    turning = turning.then(() => asked === turns && switchView(view.connection.id, wish))
    const done = await turning
    // Meanwhile something else may be wanted, or nothing.
    if (asked !== turns || view !== shown) return
    if (!done) {
      begin(wish)
      return
    }
    view.wish = wish
    view.connection.switched(viewAddress(wish.room, wish.source, wish.layer))
  }

  function swap(view: View): void {
    const old = shown
    shown = view
    coming = null
    stream.value = view.stream
    if (old !== view) drop(old)
  }

  function move(view: View, next: Phase, error: unknown): void {
    if (view === coming && next === 'live') swap(view)
    if (view !== shown && !(view === coming && shown === null)) {
      // A better layer that does not come leaves the one that is there.
      if (view === coming && next === 'over') coming = null
      return
    }
    phase.value = next
    if (next === 'live') firstPictureMs.value ??= view.connection.firstPictureMs
    if (next !== 'over') return
    failure.value = error ?? null
    stream.value = null
    figures.value = null
    shown = coming = null
  }

  function again(): void {
    const wish = wanted()
    clear()
    if (wish !== null) begin(wish)
  }

  const key = (): string => {
    const wish = wanted()
    return wish === null ? '' : [wish.room, wish.source, wish.layer, wish.token].join(' ')
  }
  watch(
    key,
    (now) => {
      const wish = wanted()
      if (now === '' || wish === null) clear()
      else void turn(wish)
    },
    { immediate: true },
  )
  onBeforeUnmount(clear)

  return { stream, phase, failure, figures, firstPictureMs, again }
}
