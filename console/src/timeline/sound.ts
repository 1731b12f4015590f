/** Sentences of recordings, of prompts played at calls, and of how well a leg could be heard. */

import { gradeOfScore, toneOfScore } from '@/status'

import { flag, number, text, texts, type Data } from './data'
import { actorOf, chips, fact, type Context, type Renderer } from './sentence'

/** A leg's recording is one of several; the mixed one is the call's. */
function keyOf(data: Data, kind: string): string {
  return text(data, 'leg_id') === '' ? kind : `${kind}_leg`
}

const recordingSwitched: Renderer = (data, context, entry) => ({
  text: fact(
    context,
    !flag(data, 'on')
      ? 'recording_off'
      : flag(data, 'per_leg')
        ? 'recording_on_legs'
        : 'recording_on',
    { actor: actorOf(entry, context) },
  ),
  icon: 'record',
  tone: flag(data, 'on') ? 'vermillion' : 'grey',
  theme: 'contact',
})

const recordingStored: Renderer = (data, context) => ({
  text: fact(context, keyOf(data, 'recording_stored'), {
    duration: context.words.span(number(data, 'seconds')),
  }),
  icon: 'record',
  tone: 'grey',
  theme: 'contact',
  minor: text(data, 'leg_id') !== '',
})

const recordingFailed: Renderer = (data, context) => ({
  text: fact(context, keyOf(data, 'recording_failed')),
  icon: 'record',
  tone: 'vermillion',
  theme: 'contact',
  chips: chips(context, ['error', text(data, 'reason')]),
})

function toWhom(data: Data, { words, names }: Context): string {
  const legs = texts(data, 'legs').map((one) => names.endpoint(one))
  return legs.length === 0 ? words.t('timeline.wholeCall') : words.list(legs)
}

const legMeasured: Renderer = (data, context) => {
  const score = number(data, 'score')
  const grade = gradeOfScore(score)
  const milliseconds = (key: string): string =>
    typeof data[key] === 'number' ? `${Math.round(number(data, key))} ms` : ''
  return {
    text: fact(context, `leg_measured_${grade}`, {
      endpoint: context.names.endpoint(text(data, 'endpoint')),
      score: score.toFixed(1),
    }),
    icon: 'wave',
    tone: toneOfScore(score),
    theme: 'contact',
    minor: true,
    passing: grade === 'good',
    chips: chips(
      context,
      ['loss', `${number(data, 'lost_pct')}%`],
      ['jitter', milliseconds('jitter_ms')],
      ['roundTrip', milliseconds('round_trip_ms')],
    ),
  }
}

export const SOUND: Record<string, Renderer> = {
  leg_measured: legMeasured,
  recording_switched: recordingSwitched,
  recording_stored: recordingStored,
  recording_failed: recordingFailed,
  recording_deleted: (_, context) => ({
    text: fact(context, 'recording_deleted'),
    icon: 'record',
    tone: 'grey',
    theme: 'contact',
    minor: true,
  }),
  prompt_played: (data, context, entry) => ({
    text: fact(context, 'prompt_played', {
      actor: actorOf(entry, context),
      prompt: context.words.term('prompt', text(data, 'name')),
      whom: toWhom(data, context),
    }),
    icon: 'wave',
    tone: 'grey',
    theme: 'contact',
    minor: true,
  }),
}
