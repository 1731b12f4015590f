/** Sentences of calls to the duty number, and of alarms of the lines it is called by. */

import { number, text } from './data'
import { actorOf, chips, fact, type Renderer } from './sentence'

const received: Renderer = (data, context) => ({
  text: fact(context, 'duty_call_received', {
    line: text(data, 'line'),
    caller: text(data, 'caller_name') || context.names.endpoint(text(data, 'caller')),
  }),
  icon: 'phone',
  tone: 'yellow',
  theme: 'contact',
  chips: [['', text(data, 'caller').replace(/^\w+:/, '')]],
})

const forwarded: Renderer = (data, context) => ({
  text: fact(context, 'duty_call_forwarded', {
    duration: context.words.span(number(data, 'waited_s')),
    to: context.names.endpoint(text(data, 'to')),
  }),
  icon: 'swap',
  tone: 'orange',
  theme: 'contact',
})

const taken: Renderer = (data, context, entry) => {
  const by = text(data, 'by')
  return {
    text: fact(context, 'duty_call_taken', {
      // A caller who was taken into another call was taken by a person, not by an address.
      by: /^(user|key):/.test(by) ? actorOf(entry, context) : context.names.endpoint(by),
    }),
    icon: 'headset',
    tone: 'green',
    theme: 'contact',
    chips: chips(context, ['waited', context.words.span(number(data, 'waited_s'))]),
  }
}

const missed: Renderer = (data, context) => ({
  text: fact(context, 'duty_call_missed'),
  icon: 'hangup',
  tone: 'vermillion',
  theme: 'contact',
  chips: chips(context, ['waited', context.words.span(number(data, 'waited_s'))]),
})

const WAYS: readonly string[] = ['declined', 'called_back', 'dismissed']
const wayOf = (how: string): string => (WAYS.includes(how) ? how : 'dismissed')

const closed: Renderer = (data, context, entry) => ({
  text: fact(context, `duty_call_${wayOf(text(data, 'how'))}`, { actor: actorOf(entry, context) }),
  icon: 'check',
  tone: 'grey',
  theme: 'contact',
})

/** An alarm of the lines to the public network: an emergency call, a burst of calls, a line that went. */
const lineAlarm: Renderer = (data, context) => ({
  text: fact(context, 'line_alarm', { text: text(data, 'text') }),
  icon: 'alert',
  tone: 'vermillion',
  theme: 'contact',
})

export const DUTY: Record<string, Renderer> = {
  duty_call_received: received,
  duty_call_forwarded: forwarded,
  duty_call_taken: taken,
  duty_call_missed: missed,
  duty_call_closed: closed,
  line_alarm: lineAlarm,
}
