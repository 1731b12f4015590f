/**
 * One picture on the page. When another source or another layer is wanted, the old picture stays until the first frame of the new
 * one is there, so nobody looks at a black tile; while it cannot be seen, nothing is sent to it.
 */

import { onBeforeUnmount, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

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
  connection: RoomConnection
  stream: MediaStream | null
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

  function drop(view: View | null): void {
    void view?.connection.close()
  }

  function clear(): void {
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
      stream: null,
      connection: new RoomConnection(
        {
          address: viewAddress(wish.room, wish.source, wish.layer),
          token: wish.token,
          watches: true,
          prepare: (peer) => prepareView(peer, false),
        },
        {
          phase: (next, error) => move(view, next, error),
          track: (event) => {
            view.stream = event.streams[0] ?? new MediaStream([event.track])
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
      else begin(wish)
    },
    { immediate: true },
  )
  onBeforeUnmount(clear)

  return { stream, phase, failure, figures, firstPictureMs, again }
}
