/** Sentences of rooms: who came and went, what is seen and recorded, roll-calls and minutes. */

import type { Tone } from '@/status'

import { flag, number, object, text, texts, type Data } from './data'
import { actorOf, chips, fact, type Context, type Renderer, type Sentence } from './sentence'

const opened: Renderer = (data, context, entry) => ({
  text: fact(context, 'room_opened', {
    actor: actorOf(entry, context),
    mode: context.words.term('roomMode', text(data, 'mode')),
    name: text(data, 'name'),
  }),
  icon: 'room',
  tone: 'green',
  theme: 'contact',
  chips: chips(context, ['number', text(data, 'number')]),
})

/** What the host changed, each in a few words. */
function changesOf(data: Data, context: Context): string[] {
  const change = object(data, 'change')
  const said = (key: string, params: Record<string, unknown> = {}): string =>
    context.words.t(`timeline.roomChange.${key}`, params)
  const switched = (key: string, on: string, off: string): string[] =>
    key in change ? [said(flag(change, key) ? on : off)] : []
  return [
    ...('name' in change ? [said('name', { name: text(change, 'name') })] : []),
    ...('role' in change
      ? [said('role', { role: context.words.term('roomRole', text(change, 'role')) })]
      : []),
    ...('spotlight' in change ? [said(text(change, 'spotlight') ? 'spotlight' : 'speaker')] : []),
    ...switched('locked', 'locked', 'unlocked'),
    ...switched('lobby', 'lobby', 'noLobby'),
    ...switched('sound_muted', 'soundMuted', 'soundUnmuted'),
    ...switched('picture_muted', 'pictureMuted', 'pictureUnmuted'),
    ...switched('hand_raised', 'handRaised', 'handLowered'),
  ]
}

const changed: Renderer = (data, context, entry) => ({
  text: fact(context, 'room_changed', {
    actor: actorOf(entry, context),
    changes: context.words.list(changesOf(data, context)),
  }),
  icon: 'room',
  tone: 'grey',
  theme: 'contact',
  minor: true,
})

const ended: Renderer = (data, context, entry) => ({
  text: fact(context, 'room_ended', {
    actor: actorOf(entry, context),
    name: text(data, 'name'),
    duration: context.words.span(number(data, 'duration_s')),
  }),
  icon: 'room',
  tone: 'grey',
  theme: 'contact',
  chips: chips(context, ['attended', String(number(data, 'attended'))]),
})

const STATES: readonly string[] = ['invited', 'waiting', 'joined', 'left', 'removed']
const STATE_TONES: Record<string, Tone> = {
  waiting: 'yellow',
  joined: 'green',
  removed: 'orange',
}

const participantMoved: Renderer = (data, context, entry) => {
  const state = text(data, 'state')
  const known = STATES.includes(state) ? state : 'left'
  const denied = known === 'removed' && text(data, 'why') === 'denied'
  return {
    text: fact(context, `participant_${denied ? 'denied' : known}`, {
      actor: actorOf(entry, context),
      participant: text(data, 'participant'),
    }),
    icon: 'person',
    tone: STATE_TONES[known] ?? 'grey',
    theme: 'contact',
    minor: true,
    passing: known === 'invited' || known === 'waiting',
    chips: chips(context, [
      'kind',
      context.words.term('participantKind', text(data, 'participant_kind')),
    ]),
  }
}

const participantChanged: Renderer = (data, context, entry) => ({
  text: fact(context, 'participant_changed', {
    actor: actorOf(entry, context),
    participant: text(data, 'participant'),
    changes: context.words.list(changesOf(data, context)),
  }),
  icon: 'person',
  tone: 'grey',
  theme: 'contact',
  minor: true,
  passing: 'hand_raised' in object(data, 'change'),
})

const SOURCE_STATES: readonly string[] = ['starting', 'live', 'idle', 'ended']

const sourceMoved: Renderer = (data, context, entry) => {
  const state = text(data, 'state')
  const why = text(data, 'why')
  const muted = why === 'muted' || why === 'unmuted'
  const known = SOURCE_STATES.includes(state) ? state : 'ended'
  return {
    text: fact(context, muted ? `source_${why}` : `source_${known}`, {
      actor: actorOf(entry, context),
      label: text(data, 'label'),
      kind: context.words.term('sourceKind', text(data, 'source_kind')),
    }),
    icon: 'camera',
    tone: known === 'live' && !muted ? 'green' : 'grey',
    theme: 'contact',
    minor: true,
    passing: known === 'starting',
  }
}

const rollCallDone: Renderer = (data, context) => {
  const missing = [...texts(data, 'absent'), ...texts(data, 'faulty')]
  const slowest = data['slowest_ms']
  const tells: Sentence['chips'] = chips(
    context,
    ['absent', context.words.list(texts(data, 'absent'))],
    ['faulty', context.words.list(texts(data, 'faulty'))],
    ['roundTrip', typeof slowest === 'number' ? `${Math.round(slowest)} ms` : ''],
  )
  return {
    text: fact(context, 'roll_call_done', {
      n: number(data, 'n'),
      present: number(data, 'present'),
      expected: number(data, 'expected'),
    }),
    icon: 'list',
    tone: missing.length === 0 ? 'green' : 'orange',
    theme: 'contact',
    chips: tells,
  }
}

const named =
  (
    kind: string,
    look: Pick<Sentence, 'icon' | 'tone' | 'minor'>,
    more: (data: Data, context: Context) => Record<string, unknown> = () => ({}),
  ): Renderer =>
  (data, context, entry) => ({
    text: fact(context, kind, {
      actor: actorOf(entry, context),
      name: text(data, 'name'),
      ...more(data, context),
    }),
    theme: 'contact',
    ...look,
  })

export const ROOMS: Record<string, Renderer> = {
  room_opened: opened,
  room_changed: changed,
  room_end_proposed: named('room_end_proposed', { icon: 'room', tone: 'yellow' }),
  room_ended: ended,
  participant_moved: participantMoved,
  participant_changed: participantChanged,
  invitation_revoked: named(
    'invitation_revoked',
    { icon: 'link', tone: 'orange', minor: true },
    (data) => ({ participant: text(data, 'participant') }),
  ),
  source_moved: sourceMoved,
  // Told to live desks only; here for a timeline of another version.
  speaker_moved: named('speaker_moved', { icon: 'mic', tone: 'grey', minor: true }),
  roll_call_started: named('roll_call_started', { icon: 'list', tone: 'sky' }, (data) => ({
    n: number(data, 'n'),
    expected: number(data, 'expected'),
  })),
  roll_call_done: rollCallDone,
  minutes_written: named('minutes_written', { icon: 'file', tone: 'sky' }, (data) => ({
    version: number(data, 'version'),
  })),
  room_recording_switched: (data, context, entry) => ({
    text: fact(context, flag(data, 'on') ? 'room_recording_on' : 'room_recording_off', {
      actor: actorOf(entry, context),
    }),
    icon: 'record',
    tone: flag(data, 'on') ? 'vermillion' : 'grey',
    theme: 'contact',
  }),
  video_recording_stored: named(
    'video_recording_stored',
    { icon: 'record', tone: 'grey' },
    (data, context) => ({
      label: text(data, 'label'),
      duration: context.words.span(number(data, 'seconds')),
    }),
  ),
  video_recording_failed: (data, context) => ({
    text: fact(context, 'video_recording_failed', { label: text(data, 'label') }),
    icon: 'record',
    tone: 'vermillion',
    theme: 'contact',
    chips: chips(context, ['error', text(data, 'reason')]),
  }),
  video_recording_deleted: named('video_recording_deleted', {
    icon: 'record',
    tone: 'grey',
    minor: true,
  }),
}
