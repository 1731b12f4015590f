/** Sentences of messages, calls, floors and devices. */

import type { Tone } from '@/status'

import { flag, number, object, text, texts, type Data } from './data'
import { actorOf, chips, fact, type Context, type Renderer, type Sentence } from './sentence'

function recipientName(recipient: string, { names }: Context): string {
  return recipient.includes(':') ? names.endpoint(recipient) : names.responder(recipient)
}

const messageQueued: Renderer = (data, context) => ({
  text: fact(context, 'message_queued', {
    recipients: context.words.list(
      texts(data, 'recipients').map((one) => recipientName(one, context)),
    ),
    title: text(data, 'title'),
  }),
  icon: 'message',
  tone: 'grey',
  theme: 'contact',
  minor: true,
})

const DELIVERY_TONES: Record<string, Tone> = {
  delivered: 'green',
  failed_temp: 'orange',
  failed_perm: 'vermillion',
  unknown: 'orange',
}

const PASSING_DELIVERIES: readonly string[] = ['pending', 'sending', 'superseded']

const deliveryMoved: Renderer = (data, context) => {
  const { words } = context
  const state = text(data, 'state')
  const channel = text(data, 'channel')
  const recipient = text(data, 'recipient')
  const address = recipient.includes(':') ? recipient : `${channel}:${recipient}`
  const attempt = number(data, 'attempt')
  return {
    text: fact(
      context,
      text(data, 'delivery_kind') === 'update' ? 'delivery_update' : 'delivery_moved',
      {
        channel: words.term('channel', channel),
        recipient: context.names.endpoint(address),
        state: words.term('delivery', state),
      },
    ),
    icon: 'send',
    tone: DELIVERY_TONES[state] ?? 'grey',
    theme: 'contact',
    minor: true,
    passing: PASSING_DELIVERIES.includes(state),
    chips: [
      ...(attempt > 1 ? [['', words.t('timeline.chip.attempt', { n: attempt })]] : []),
      ...(chips(context, ['error', text(data, 'error')]) ?? []),
    ] as Sentence['chips'],
  }
}

const ackReceived: Renderer = (data, context, entry) => ({
  text: fact(context, 'ack_received', {
    actor: actorOf(entry, context),
    source: context.words.term('channel', text(data, 'source')),
    action: context.words.term('ack', text(data, 'action')),
  }),
  icon: 'check',
  tone: 'sky',
  theme: 'contact',
  chips: chips(context, ['effect', context.words.term('effect', text(data, 'effect'))]),
})

const callStarted: Renderer = (data, context, entry) => ({
  text: fact(context, 'call_started', {
    actor: actorOf(entry, context),
    legs: context.words.list(texts(data, 'legs').map((leg) => context.names.endpoint(leg))),
  }),
  icon: 'phone',
  tone: 'green',
  theme: 'contact',
})

const QUIET_CAUSES: readonly string[] = [
  'hung_up',
  'cancelled',
  'desk',
  'transferred',
  'call_ended',
  '',
]

const legMoved: Renderer = (data, context) => {
  const { words, names } = context
  const endpoint = names.endpoint(text(data, 'endpoint'))
  const state = text(data, 'state')
  const cause = text(data, 'cause')
  const failed = state === 'ended' && !QUIET_CAUSES.includes(cause)
  const never = failed && cause !== 'media_lost'
  return {
    text:
      state === 'ended'
        ? fact(context, never ? 'leg_failed' : 'leg_ended', {
            endpoint,
            cause: words.term('cause', cause),
          })
        : fact(context, 'leg_moved', { endpoint, state: words.term('legDone', state) }),
    icon: state === 'ended' ? 'hangup' : 'phone',
    tone: failed ? 'vermillion' : state === 'connected' ? 'green' : 'grey',
    theme: 'contact',
    minor: true,
    passing: state !== 'connected' && state !== 'ended',
    chips: [
      ['', text(data, 'endpoint')],
      ...(failed ? (chips(context, ['error', text(data, 'detail')]) ?? []) : []),
    ],
  }
}

/** What was made of a leg, one phrase a change. */
function changesOf(change: Data, { words, names }: Context): string[] {
  const either = (key: string, on: string, off: string): string[] =>
    key in change ? [words.term('legChange', flag(change, key) ? on : off)] : []
  const hearers = texts(change, 'whispers_to').map((one) => names.endpoint(one))
  return [
    ...either('muted', 'muted', 'unmuted'),
    ...either('held', 'held', 'unheld'),
    ...either('listen_only', 'listening', 'speaking'),
    ...('whispers_to' in change
      ? [
          hearers.length > 0
            ? words.term('legChange', 'whisper', { names: words.list(hearers) })
            : words.term('legChange', 'aloud'),
        ]
      : []),
    ...('gain_db' in change
      ? [words.term('legChange', 'gain', { db: number(change, 'gain_db') })]
      : []),
    ...either('auto_gain', 'autoGain', 'fixedGain'),
  ]
}

const legShaped: Renderer = (data, context, entry) => {
  const change = object(data, 'change')
  const how = text(change, 'entry')
  const actor = actorOf(entry, context)
  const endpoint = context.names.endpoint(text(data, 'endpoint'))
  return {
    text:
      how === ''
        ? fact(context, 'leg_shaped', {
            actor,
            endpoint,
            changes: context.words.list(changesOf(change, context)),
          })
        : fact(context, 'leg_entered', {
            actor,
            endpoint,
            entry: context.words.term('entry', how),
          }),
    icon: how === '' ? 'mic' : 'headset',
    tone: how === '' ? 'grey' : 'purple',
    theme: 'contact',
    minor: how === '',
  }
}

const legTransferred: Renderer = (data, context, entry) => ({
  text: fact(context, 'leg_transferred', {
    actor: actorOf(entry, context),
    endpoint: context.names.endpoint(text(data, 'endpoint')),
  }),
  icon: 'swap',
  tone: 'grey',
  theme: 'contact',
  minor: true,
})

function talkerName(talker: string, { words, names }: Context): string {
  return talker.startsWith('call:') ? words.t('timeline.bridgedCall') : names.endpoint(talker)
}

const floorCommanded: Renderer = (data, context, entry) => ({
  text: fact(context, 'floor_commanded', {
    actor: actorOf(entry, context),
    deed: context.words.term('floorDeed', text(data, 'action')),
    group: context.names.endpoint(`radio:${text(data, 'group')}`),
    participant: talkerName(text(data, 'participant'), context),
  }).trim(),
  icon: 'radio',
  tone: 'purple',
  theme: 'contact',
})

const floorMoved: Renderer = (data, context) => {
  const { names, words } = context
  const group = names.endpoint(`radio:${text(data, 'group')}`)
  const event = text(data, 'event')
  const talker = text(data, 'talker')
  const isTaken = event === 'taken' || event === 'granted'
  const named = talker !== ''
  const key =
    isTaken && named
      ? 'floor_taken'
      : event === 'revoked' && named
        ? 'floor_revoked'
        : event === 'idle'
          ? 'floor_idle'
          : ''
  return {
    text: fact(context, key || 'floor_other', {
      group,
      talker: talkerName(talker, context),
      event: words.term('floorEvent', event),
    }),
    icon: 'radio',
    tone: isTaken ? 'green' : 'grey',
    theme: 'contact',
    minor: true,
    passing: event === 'idle',
    chips: chips(context, ['error', words.term('floorCause', text(data, 'cause'))]),
  }
}

const deviceSeen: Renderer = (data, context) => {
  const isTelemetry = text(data, 'changed') === 'telemetry'
  const online = flag(data, 'online')
  const key = isTelemetry ? 'telemetry' : online ? 'online' : 'offline'
  return {
    text: fact(context, `device_seen_${key}`, {
      device: context.names.device(text(data, 'device_id')),
    }),
    icon: 'device',
    tone: online ? 'grey' : 'orange',
    theme: 'contact',
    minor: true,
    passing: isTelemetry,
    chips: chips(context, ['battery', text(data, 'battery') && `${text(data, 'battery')}%`]),
  }
}

export const CONTACT: Record<string, Renderer> = {
  message_queued: messageQueued,
  delivery_moved: deliveryMoved,
  ack_received: ackReceived,
  call_started: callStarted,
  leg_moved: legMoved,
  call_ended: (data, context) => ({
    text: fact(context, 'call_ended', { duration: context.words.span(number(data, 'duration_s')) }),
    icon: 'hangup',
    tone: 'grey',
    theme: 'contact',
  }),
  leg_shaped: legShaped,
  leg_transferred: legTransferred,
  floor_commanded: floorCommanded,
  floor_moved: floorMoved,
  device_seen: deviceSeen,
  device_commanded: (data, context) => ({
    text: fact(context, 'device_commanded', {
      device: context.names.device(text(data, 'device_id')),
      op: context.words.term('op', text(data, 'op')),
      state: context.words.term('command', text(data, 'state')),
    }),
    icon: 'device',
    tone: 'grey',
    theme: 'contact',
    minor: true,
  }),
  phone_seen: (data, context) => ({
    text: fact(context, flag(data, 'online') ? 'phone_seen_online' : 'phone_seen_offline', {
      account: text(data, 'account'),
    }),
    icon: 'phone',
    tone: flag(data, 'online') ? 'grey' : 'orange',
    theme: 'contact',
    minor: true,
  }),
  service_moved: (data, context) => ({
    text: fact(context, 'service_moved', {
      service: context.words.term('service', text(data, 'service')),
      state: context.words.term('serviceState', text(data, 'state')),
    }),
    icon: 'shield',
    tone: text(data, 'state') === 'up' ? 'grey' : 'vermillion',
    theme: 'contact',
    minor: true,
  }),
}
