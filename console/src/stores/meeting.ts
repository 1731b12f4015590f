/**
 * The one meeting this page is in: its camera, microphone and screen, and what it hears. It outlives the meeting's page, so that a
 * dispatcher can look at the desk and go on talking.
 */

import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'

import { api, ask, makeClient } from '@/api/client'
import { publishAddress, viewAddress } from '@/rooms/address'
import { openCamera, openScreen, openSound, troubleOf, type Choice } from '@/rooms/devices'
import type { Figures } from '@/rooms/figures'
import { prepareCamera, prepareScreen, prepareView, replace, type Tracks } from '@/rooms/publishing'
import { RoomConnection, useIceServers, type Phase } from '@/rooms/session'
import type { Trouble } from '@/voice/microphone'

export interface Entrance extends Tracks {
  roomId: string
  /** Of a guest's link; empty for whoever is signed in. */
  token: string
  /** By which the watermark calls this viewer. */
  name: string
  choice: Choice
  /** Viewers show nothing and say nothing. */
  onlyWatches: boolean
}

export const useMeeting = defineStore('meeting', () => {
  const entrance = shallowRef<Entrance | null>(null)
  const phase = ref<Phase | null>(null)
  const failure = shallowRef<unknown>(null)
  const audio = shallowRef<MediaStreamTrack | null>(null)
  const video = shallowRef<MediaStreamTrack | null>(null)
  const screen = shallowRef<MediaStreamTrack | null>(null)
  const soundOn = ref(false)
  const trouble = ref<{ kind: 'audio' | 'video'; why: Trouble } | null>(null)
  const figures = ref<Figures | null>(null)
  /** The browser plays nothing before a click on this page. */
  const blocked = ref(false)

  let main: RoomConnection | null = null
  let sharing: RoomConnection | null = null
  const speaker = new Audio()
  speaker.autoplay = true

  const roomId = computed(() => entrance.value?.roomId ?? null)
  const token = computed(() => entrance.value?.token ?? '')
  const cameraOn = computed(() => video.value !== null)
  const sharesScreen = computed(() => screen.value !== null)
  const client = computed(() => (token.value === '' ? api : makeClient(token.value)))

  /** Go in with what the preview opened. */
  async function join(next: Entrance): Promise<void> {
    await leave()
    entrance.value = next
    audio.value = next.audio
    setCamera(next.video)
    soundOn.value = next.audio?.enabled ?? false
    failure.value = null
    await learnServers()
    const { roomId: room, token: by, onlyWatches } = next
    const made: RoomConnection = new RoomConnection(
      {
        address: onlyWatches ? viewAddress(room, 'speaker', 'low') : publishAddress(room, 'camera'),
        token: by,
        watches: false,
        prepare: (peer) =>
          onlyWatches
            ? prepareView(peer, true)
            : prepareCamera(peer, { audio: audio.value, video: video.value }),
      },
      {
        phase: (now, error) => move(made, now, error),
        track: ({ track, streams }) => {
          if (track.kind !== 'audio') return
          speaker.srcObject = streams[0] ?? new MediaStream([track])
          void unblock()
        },
        figures: (now) => (figures.value = now),
      },
    )
    main = made
    made.open()
  }

  async function learnServers(): Promise<void> {
    try {
      const { servers } = await ask(client.value.GET('/webrtc/ice-servers'))
      useIceServers(
        servers.map(({ urls, username, credential }) => ({
          urls,
          ...(username === null ? {} : { username, credential: credential ?? '' }),
        })),
      )
    } catch {
      // Without TURN the direct way is still there; a refusal is told by the offer that follows.
      useIceServers([])
    }
  }

  function move(which: RoomConnection, next: Phase, error: unknown): void {
    if (main !== which) return
    phase.value = next
    if (next !== 'over') return
    failure.value = error ?? null
    forget()
  }

  /** Say goodbye. */
  async function leave(): Promise<void> {
    const [was, screenWas, id] = [main, sharing, roomId.value]
    if (was === null || id === null) return
    const by = client.value
    main = null
    sharing = null
    forget()
    await Promise.all([was.close(), screenWas?.close()])
    // The hub notices by itself when this is lost.
    await ask(by.POST('/rooms/{id}/leave', { params: { path: { id } } })).catch(() => undefined)
  }

  /** The room has ended, or we were sent out: there is nothing to say goodbye to. */
  function dismiss(why: unknown): void {
    const was = main
    main = null
    failure.value = why
    forget()
    void was?.close()
  }

  function forget(): void {
    void sharing?.close()
    sharing = null
    main = null
    for (const track of [audio.value, video.value, screen.value]) track?.stop()
    audio.value = video.value = screen.value = null
    soundOn.value = false
    figures.value = null
    trouble.value = null
    speaker.srcObject = null
    entrance.value = null
    phase.value = null
  }

  async function toggleSound(): Promise<void> {
    trouble.value = null
    if (audio.value === null) {
      try {
        audio.value = await openSound(entrance.value?.choice.microphone)
      } catch (error) {
        trouble.value = { kind: 'audio', why: troubleOf(error) }
        return
      }
      await replace(main?.connection ?? null, 'audio', audio.value)
      soundOn.value = true
      return
    }
    soundOn.value = !soundOn.value
    audio.value.enabled = soundOn.value
  }

  async function toggleCamera(): Promise<void> {
    trouble.value = null
    const was = video.value
    if (was !== null) {
      setCamera(null)
      was.stop()
    } else {
      try {
        setCamera(await openCamera(entrance.value?.choice.camera))
      } catch (error) {
        trouble.value = { kind: 'video', why: troubleOf(error) }
        return
      }
    }
    await replace(main?.connection ?? null, 'video', video.value)
  }

  function setCamera(track: MediaStreamTrack | null): void {
    video.value = track
    if (track === null) return
    // Pulled out, or taken by another program.
    track.onended = () => {
      if (video.value !== track) return
      video.value = null
      trouble.value = { kind: 'video', why: 'missing' }
    }
  }

  async function toggleScreen(): Promise<void> {
    if (screen.value !== null) {
      stopScreen()
      return
    }
    const room = roomId.value
    const track = await openScreen()
    if (track === null || room === null) return
    screen.value = track
    track.onended = () => stopScreen()
    sharing = new RoomConnection(
      {
        address: publishAddress(room, 'screen'),
        token: token.value,
        watches: false,
        prepare: (peer) => prepareScreen(peer, track),
      },
      {
        phase: (now) => {
          if (now === 'over' && screen.value === track) stopScreen()
        },
      },
    )
    sharing.open()
  }

  function stopScreen(): void {
    screen.value?.stop()
    screen.value = null
    const was = sharing
    sharing = null
    void was?.close()
  }

  async function unblock(): Promise<void> {
    await speaker.play().then(
      () => (blocked.value = false),
      () => (blocked.value = true),
    )
  }

  return {
    entrance,
    roomId,
    token,
    client,
    phase,
    failure,
    audio,
    video,
    screen,
    soundOn,
    cameraOn,
    sharesScreen,
    trouble,
    figures,
    blocked,
    join,
    leave,
    dismiss,
    toggleSound,
    toggleCamera,
    toggleScreen,
    unblock,
  }
})
