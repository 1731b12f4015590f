/** Sentences of reports, rules, incidents, tasks and clocks. */

import type { Tone } from '@/status'

import { flag, number, object, objects, text, texts } from './data'
import { nameOfActor } from './names'
import { reasonsInWords } from './reasons'
import { actorOf, chips, fact, type Renderer } from './sentence'

const reportReceived: Renderer = (data, context) => {
  const { words, names, locale } = context
  const source = words.term('source', text(data, 'source'))
  const reporter = text(data, 'reporter')
  return {
    text: fact(context, 'report_received', {
      source,
      category: words.term('category', text(data, 'category')),
    }),
    icon: 'bell',
    tone: text(data, 'category') === 'sos' ? 'sos' : 'yellow',
    theme: 'progress',
    quote: text(data, 'text'),
    chips: chips(
      context,
      ['reporter', reporter && nameOfActor(reporter, names, locale)],
      ['place', text(data, 'place')],
    ),
  }
}

const rulesDecided: Renderer = (data, context) => {
  const { words } = context
  const outcome = object(data, 'outcome')
  const fell = flag(data, 'fell_to_default')
  return {
    text: fact(context, fell ? 'rules_default' : 'rules_decided', {
      loop: words.term('loop', text(outcome, 'loop')),
      team: words.term('team', text(outcome, 'team')),
      level: words.term('level', text(outcome, 'level')),
    }),
    icon: 'scale',
    tone: fell ? 'orange' : 'purple',
    theme: 'rules',
    chips: chips(context, ['ruleset', `${text(data, 'ruleset')} ${text(data, 'version')}`.trim()]),
  }
}

const respondersRanked: Renderer = (data, context) => {
  const ranked = objects(data, 'ranked')
  const best = ranked[0]
  return {
    text:
      best === undefined
        ? fact(context, 'responders_none')
        : fact(context, 'responders_ranked', {
            count: ranked.length,
            best: text(best, 'name') || context.names.responder(text(best, 'responder')),
          }),
    icon: 'group',
    tone: best === undefined ? 'vermillion' : 'purple',
    theme: 'rules',
  }
}

const responderShortfall: Renderer = (data, context) => {
  const fallback = text(data, 'fallback')
  const reasons = texts(data, 'reasons').map((reason) => reasonsInWords(reason, context.words))
  return {
    text:
      fallback === ''
        ? fact(context, 'responder_shortfall', { reasons: context.words.list(reasons) })
        : fact(context, 'shortfall_fallback', { fallback: context.names.responder(fallback) }),
    icon: 'alert',
    tone: 'vermillion',
    theme: 'rules',
    chips: fallback === '' ? [] : chips(context, ['error', context.words.list(reasons)]),
  }
}

const stageMoved: Renderer = (data, context, entry) => {
  const { words } = context
  const action = text(data, 'action')
  const isComment = action === 'comment'
  return {
    text: fact(context, isComment ? 'stage_comment' : 'stage_moved', {
      actor: actorOf(entry, context),
      done: words.term('done', action),
    }),
    icon: isComment ? 'message' : 'flag',
    tone: isComment ? 'grey' : 'sky',
    theme: 'progress',
    quote: text(data, 'note'),
    // What a responder did stands in the line of their task already; the stage only follows it.
    minor: entry.actor.startsWith('responder:') && !isComment,
  }
}

const taskDispatched: Renderer = (data, context) => {
  const acceptBy = text(data, 'accept_by')
  const attempt = number(data, 'attempt')
  return {
    text: fact(context, attempt > 1 ? 'task_dispatched_again' : 'task_dispatched', {
      responder: text(data, 'responder') || context.names.responder(text(data, 'responder_id')),
      unit: text(data, 'unit'),
      attempt,
    }),
    icon: 'send',
    tone: 'orange',
    theme: 'progress',
    chips: chips(context, ['acceptBy', acceptBy && context.words.moment(acceptBy)]),
  }
}

const TASK_TONES: Record<string, Tone> = {
  finish: 'green',
  return: 'vermillion',
  escalate: 'purple',
  cancel: 'grey',
}

const taskMoved: Renderer = (data, context) => ({
  text: fact(context, 'task_moved', {
    responder: text(data, 'responder') || context.names.responder(text(data, 'responder_id')),
    done: context.words.term('taskDone', text(data, 'action')),
  }),
  icon: text(data, 'action') === 'return' ? 'swap' : 'check',
  tone: TASK_TONES[text(data, 'action')] ?? 'sky',
  theme: 'progress',
  quote: text(data, 'note'),
})

const taskEscalated: Renderer = (data, context) => {
  const to = text(data, 'to_responder')
  return {
    text: fact(context, to === '' ? 'task_escalated_nobody' : 'task_escalated', {
      from: context.names.responder(text(data, 'from_responder')),
      to: context.names.responder(to),
    }),
    icon: 'up',
    tone: to === '' ? 'vermillion' : 'purple',
    theme: 'progress',
  }
}

export const PROGRESS: Record<string, Renderer> = {
  report_received: reportReceived,
  report_quarantined: (data, context) => ({
    text: fact(context, 'report_quarantined', { reason: text(data, 'reason') }),
    icon: 'alert',
    tone: 'vermillion',
    theme: 'progress',
  }),
  rules_decided: rulesDecided,
  incident_registered: (data, context) => ({
    text: fact(context, 'incident_registered', {
      number: text(data, 'number'),
      category: context.words.term('category', text(data, 'category')),
      level: context.words.term('level', text(data, 'level')),
    }),
    icon: 'file',
    tone: 'sky',
    theme: 'progress',
  }),
  responders_ranked: respondersRanked,
  responder_shortfall: responderShortfall,
  stage_moved: stageMoved,
  incident_merged: (data, context, entry) => ({
    text: fact(context, 'incident_merged', {
      actor: actorOf(entry, context),
      into: context.names.incident(text(data, 'into')),
    }),
    icon: 'merge',
    tone: 'grey',
    theme: 'progress',
    quote: text(data, 'note'),
  }),
  incident_absorbed: (data, context, entry) => ({
    text: fact(context, 'incident_absorbed', {
      actor: actorOf(entry, context),
      number: text(data, 'number'),
    }),
    icon: 'merge',
    tone: 'sky',
    theme: 'progress',
    quote: text(data, 'note'),
  }),
  attention_raised: (data, context) => {
    const reason = context.words.term('attention', text(data, 'code'))
    const isKnown = reason !== text(data, 'code')
    return {
      text: fact(context, 'attention_raised', { reason: isKnown ? reason : text(data, 'text') }),
      icon: 'alert',
      tone: 'orange',
      theme: 'progress',
      chips: isKnown ? chips(context, ['error', text(data, 'text')]) : [],
    }
  },
  task_dispatched: taskDispatched,
  task_moved: taskMoved,
  clock_expired: (data, context) => ({
    text: fact(context, 'clock_expired', {
      clock: context.words.term('clock', text(data, 'clock')),
    }),
    icon: 'clock',
    tone: 'vermillion',
    theme: 'progress',
    chips: chips(context, [
      'due',
      text(data, 'due_at') && context.words.moment(text(data, 'due_at')),
    ]),
  }),
  task_escalated: taskEscalated,
}
