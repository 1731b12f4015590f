/** Sentences of what goes on between hubs: links, incidents reported up and assigned down, departments that were whistled for, supervision. */

import type { Tone } from '@/status'

import { flag, number, text, texts, type Data } from './data'
import { actorOf, chips, fact, type Context, type Renderer } from './sentence'

const hub = (data: Data, { names }: Context): string => names.hub(text(data, 'peer'))

/** One of the known values of a field, for the key of a message. */
const known = (value: string, values: readonly string[], other: string): string =>
  values.includes(value) ? value : other

const peeringMoved: Renderer = (data, context, entry) => ({
  text: fact(context, text(data, 'state') === 'revoked' ? 'peering_revoked' : 'peering_moved', {
    actor: actorOf(entry, context),
    hub: text(data, 'name') || hub(data, context),
  }),
  icon: 'tiers',
  tone: text(data, 'state') === 'revoked' ? 'orange' : 'grey',
  theme: 'contact',
})

const linkMoved: Renderer = (data, context) => {
  const up = flag(data, 'up')
  return {
    text: fact(context, up ? 'link_up' : 'link_down', { hub: hub(data, context) }),
    icon: up ? 'link' : 'unlink',
    tone: up ? 'green' : 'vermillion',
    theme: 'contact',
    chips: chips(context, ['error', up ? '' : text(data, 'reason')]),
  }
}

const SHARES = ['reported_up', 'assigned_down', 'whistled']

const incidentShared: Renderer = (data, context, entry) => {
  const share = known(text(data, 'share'), SHARES, 'reported_up')
  const given = flag(data, 'given')
  return {
    text: fact(context, `${share}_${given ? 'given' : 'got'}`, {
      actor: actorOf(entry, context),
      hub: hub(data, context),
    }),
    icon: share === 'whistled' ? 'whistle' : share === 'reported_up' ? 'up' : 'down',
    tone: 'purple',
    theme: 'progress',
    quote: text(data, 'note') || undefined,
  }
}

const SHARE_STATES = ['offered', 'held', 'returned', 'refused', 'ended']
const SHARE_TONES: Record<string, Tone> = {
  held: 'green',
  returned: 'vermillion',
  refused: 'vermillion',
}

const shareMoved: Renderer = (data, context, entry) => {
  const after = known(text(data, 'after'), SHARE_STATES, 'held')
  const ours = after === 'returned' && !entry.actor.startsWith('hub:')
  return {
    text: fact(context, ours ? 'share_given_back' : `share_${after}`, {
      actor: actorOf(entry, context),
      hub: hub(data, context),
    }),
    icon: after === 'returned' ? 'swap' : 'tiers',
    tone: SHARE_TONES[after] ?? 'grey',
    theme: 'progress',
    quote: text(data, 'note') || undefined,
    minor: after === 'offered' || after === 'ended',
  }
}

const theirStageMoved: Renderer = (data, context) => {
  const { words } = context
  return {
    text: fact(context, 'their_stage', {
      hub: hub(data, context),
      stage: words.term('stage', text(data, 'stage')),
    }),
    icon: 'tiers',
    tone: 'purple',
    theme: 'progress',
    minor: true,
    chips: chips(
      context,
      ['theirNumber', text(data, 'number')],
      ['has', [text(data, 'unit'), text(data, 'person')].filter(Boolean).join(' ')],
    ),
  }
}

const unitWhistled: Renderer = (data, context, entry) => ({
  text: fact(context, 'unit_whistled', {
    actor: actorOf(entry, context),
    hub: hub(data, context),
    unit: text(data, 'unit'),
  }),
  icon: 'whistle',
  tone: 'orange',
  theme: 'progress',
  chips: chips(context, [
    'due',
    text(data, 'due_at') && context.words.moment(text(data, 'due_at')),
  ]),
})

const CHECK_INS = ['called', 'checked_in', 'no_show', 'late', 'withdrawn']
const CHECK_IN_TONES: Record<string, Tone> = {
  checked_in: 'green',
  no_show: 'vermillion',
  late: 'yellow',
}

const checkInMoved: Renderer = (data, context, entry) => {
  const state = known(text(data, 'state'), CHECK_INS, 'called')
  return {
    text: fact(context, `check_in_${state}`, {
      actor: actorOf(entry, context),
      hub: hub(data, context),
      unit: text(data, 'unit'),
    }),
    icon: 'whistle',
    tone: CHECK_IN_TONES[state] ?? 'grey',
    theme: 'progress',
    quote: text(data, 'note') || undefined,
  }
}

const supervisionOrdered: Renderer = (data, context, entry) => ({
  text: fact(context, entry.actor.startsWith('hub:') ? 'supervision_got' : 'supervision_ordered', {
    actor: actorOf(entry, context),
    hub: hub(data, context),
  }),
  icon: 'gavel',
  tone: 'orange',
  theme: 'progress',
  quote: text(data, 'text') || undefined,
  chips: chips(context, [
    'due',
    text(data, 'due_at') && context.words.moment(text(data, 'due_at')),
  ]),
})

const SUPERVISIONS = ['open', 'overdue', 'answered', 'lifted']
const SUPERVISION_TONES: Record<string, Tone> = { overdue: 'vermillion', answered: 'green' }

const supervisionMoved: Renderer = (data, context, entry) => {
  const state = known(text(data, 'state'), SUPERVISIONS, 'open')
  return {
    text: fact(context, `supervision_${state}`, {
      actor: actorOf(entry, context),
      hub: hub(data, context),
    }),
    icon: 'gavel',
    tone: SUPERVISION_TONES[state] ?? 'grey',
    theme: 'progress',
    quote: text(data, 'answer') || undefined,
  }
}

const tierRefused: Renderer = (data, context) => ({
  text: fact(context, flag(data, 'ours') ? 'tier_refused_ours' : 'tier_refused_theirs', {
    hub: hub(data, context),
  }),
  icon: 'alert',
  tone: 'vermillion',
  theme: 'contact',
  chips: chips(context, ['error', text(data, 'reason')]),
})

const sharedMoved: Renderer = (data, context) => ({
  text: fact(context, 'shared_moved', { hub: hub(data, context) }),
  icon: 'list',
  tone: 'grey',
  theme: 'contact',
  minor: true,
  chips: [['', context.words.list(texts(data, 'subjects'))]],
})

const sharedCommanded: Renderer = (data, context, entry) => ({
  text: fact(context, flag(data, 'given') ? 'shared_commanded_given' : 'shared_commanded_got', {
    actor: actorOf(entry, context),
    hub: hub(data, context),
    op: context.words.term('op', text(data, 'op')),
    subject: context.names.endpoint(text(data, 'subject')),
  }),
  icon: 'send',
  tone: 'sky',
  theme: 'contact',
})

// On the bus only; here for a timeline of another version.
const timelineMerged: Renderer = (data, context) => ({
  text: fact(context, 'timeline_merged', { hub: hub(data, context), n: number(data, 'lines') }),
  icon: 'merge',
  tone: 'grey',
  theme: 'progress',
  minor: true,
  passing: true,
})

const sharesChanged: Renderer = (_, context) => ({
  text: fact(context, 'shares_changed'),
  icon: 'tiers',
  tone: 'grey',
  theme: 'progress',
  minor: true,
  passing: true,
})

const CASCADES = ['asked', 'joined', 'down', 'ended']
const CASCADE_TONES: Record<string, Tone> = { joined: 'green', down: 'vermillion' }

const cascadeMoved: Renderer = (data, context, entry) => {
  const state = known(text(data, 'state'), CASCADES, 'asked')
  return {
    text: fact(context, `cascade_${state}`, {
      actor: actorOf(entry, context),
      hub: hub(data, context),
    }),
    icon: 'room',
    tone: CASCADE_TONES[state] ?? 'grey',
    theme: 'contact',
    minor: state === 'asked',
    chips: chips(context, ['error', text(data, 'reason')]),
  }
}

export const TIERS: Record<string, Renderer> = {
  peering_moved: peeringMoved,
  link_moved: linkMoved,
  incident_shared: incidentShared,
  share_moved: shareMoved,
  their_stage_moved: theirStageMoved,
  unit_whistled: unitWhistled,
  check_in_moved: checkInMoved,
  supervision_ordered: supervisionOrdered,
  supervision_moved: supervisionMoved,
  tier_refused: tierRefused,
  shared_moved: sharedMoved,
  shared_commanded: sharedCommanded,
  timeline_merged: timelineMerged,
  shares_changed: sharesChanged,
  cascade_moved: cascadeMoved,
}
