/** The desk's own headset: in which call it is, what it hears and says, and why it cannot. */

import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'

import type { Entry } from '@/api/bodies'
import { ApiError } from '@/api/client'
import type { CallView, LegView } from '@/api/types'
import { i18n } from '@/i18n'
import { isLiveLeg, useBench } from '@/stores/bench'
import { useLive } from '@/stores/live'
import { explain } from '@/stores/notices'
import { useSession } from '@/stores/session'

import { VoiceConnection, type Levels, type Phase } from './connection'
import { closeMicrophone, MicrophoneError, openMicrophone, type Trouble } from './microphone'
import type { Mode } from './offer'

/** Which leg this page spoke on, so that a reloaded page speaks on. */
const KEPT = 'commhub.voice'

export const useVoice = defineStore('voice', () => {
  const bench = useBench()
  const live = useLive()
  const session = useSession()

  const phase = ref<Phase | null>(null)
  const legId = ref<string | null>(null)
  const mode = ref<Mode>('talk')
  const muted = ref(false)
  const levels = ref<Levels>({ mine: 0, theirs: 0 })
  const trouble = ref<Trouble | null>(null)
  const failure = ref('')
  /** The browser plays nothing before a click on this page. */
  const blocked = ref(false)
  const connection = shallowRef<VoiceConnection | null>(null)
  let microphone: MediaStream | null = null
  const speaker = new Audio()
  speaker.autoplay = true

  const endpoint = computed(() => `desk:${session.principal?.name ?? ''}`)
  const mine = computed(() =>
    bench.calls.flatMap((call) =>
      call.legs
        .filter((leg) => leg.endpoint === endpoint.value && isLiveLeg(leg))
        .map((leg) => ({ call, leg })),
    ),
  )
  const current = computed(() => mine.value.find(({ leg }) => leg.id === legId.value))
  /** Calls that ring here and that nobody answered. */
  const ringing = computed(() =>
    mine.value.filter(({ leg }) => leg.id !== legId.value && leg.state === 'ringing'),
  )
  const isBusy = computed(() => phase.value !== null)

  const isIn = (call: CallView): boolean => current.value?.call.id === call.id

  /** Join a call by this desk's headset, or only listen to it; `by` says how, where that is an intervention. */
  async function join(call: CallView, as: Mode = 'talk', by?: Entry): Promise<void> {
    const stream = await prepare(as)
    if (stream === false) return
    const known = mine.value.find((one) => one.call.id === call.id)?.leg.id
    // Listening and breaking in are interventions: the hub asks for the right to them, and puts them on record.
    const mode = as === 'listen' ? 'listen' : by
    const entry = mode === undefined ? {} : { mode }
    try {
      const id = known ?? (await bench.addLeg(call.id, 'desk:me', entry)).id
      await connect(id, as, stream)
    } catch (error) {
      refuse(error, stream)
    }
  }

  /** Have the hub place a leg of this desk, and talk on it. */
  async function talkOn(place: () => Promise<LegView>): Promise<void> {
    const stream = await prepare('talk')
    if (stream === false) return
    try {
      await connect((await place()).id, 'talk', stream)
    } catch (error) {
      refuse(error, stream)
    }
  }

  /** Answer a call that rings here. */
  async function answer(leg: LegView, as: Mode = 'talk'): Promise<void> {
    const stream = await prepare(as)
    if (stream === false) return
    try {
      await connect(leg.id, as, stream)
    } catch (error) {
      refuse(error, stream)
    }
  }

  async function leave(): Promise<void> {
    await connection.value?.hangUp()
  }

  function toggleMute(): void {
    muted.value = !muted.value
    for (const track of microphone?.getAudioTracks() ?? []) track.enabled = !muted.value
  }

  async function unblock(): Promise<void> {
    await speaker.play().then(
      () => (blocked.value = false),
      () => (blocked.value = true),
    )
  }

  function forgive(): void {
    trouble.value = null
    failure.value = ''
  }

  /** The microphone when one is needed; false when there is none. */
  async function prepare(as: Mode): Promise<MediaStream | null | false> {
    forgive()
    await leave()
    if (as === 'listen') return null
    try {
      return await openMicrophone()
    } catch (error) {
      if (!(error instanceof MicrophoneError)) throw error
      trouble.value = error.trouble
      return false
    }
  }

  async function connect(id: string, as: Mode, stream: MediaStream | null): Promise<void> {
    microphone = stream
    legId.value = id
    mode.value = as
    muted.value = false
    const made = new VoiceConnection(id, as, stream, {
      phase: (next, error) => move(made, next, error),
      levels: (next) => (levels.value = next),
      sound: (sound) => {
        speaker.srcObject = sound
        void unblock()
      },
    })
    connection.value = made
    sessionStorage.setItem(KEPT, JSON.stringify({ leg: id, mode: as }))
    await made.open()
  }

  function move(which: VoiceConnection, next: Phase, error?: unknown): void {
    if (connection.value !== which) return
    phase.value = next === 'over' ? null : next
    if (next !== 'over') return
    if (error !== undefined && !(error instanceof ApiError && error.status === 404)) {
      failure.value = error instanceof ApiError ? explain(error) : i18n.global.t('desk.voice.lost')
    }
    closeMicrophone(microphone)
    microphone = null
    connection.value = null
    legId.value = null
    levels.value = { mine: 0, theirs: 0 }
    speaker.srcObject = null
    sessionStorage.removeItem(KEPT)
  }

  function refuse(error: unknown, stream: MediaStream | null): void {
    closeMicrophone(stream)
    failure.value = explain(error)
  }

  // The leg was hung up at the hub, or by another page of the same account.
  watch(
    () => [live.ready, legId.value, current.value?.leg.state] as const,
    ([ready, id, state], [, before, known]) => {
      if (ready && id !== null && id === before && state === undefined && known !== undefined) {
        connection.value?.close()
      }
    },
  )

  // A reloaded page goes on speaking where it was; once, when the first state has come.
  const stop = watch(
    () => live.ready,
    (ready) => {
      if (!ready) return
      stop()
      const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null') as {
        leg: string
        mode: Mode
      } | null
      const leg = mine.value.find((one) => one.leg.id === kept?.leg)?.leg
      if (kept && leg) void answer(leg, kept.mode)
      else sessionStorage.removeItem(KEPT)
    },
  )

  return {
    phase,
    mode,
    muted,
    levels,
    trouble,
    failure,
    blocked,
    current,
    ringing,
    isBusy,
    endpoint,
    isIn,
    join,
    talkOn,
    answer,
    leave,
    toggleMute,
    unblock,
    forgive,
  }
})
