/** Why an incident needs a person: the hub says `code: sentence`, one line a reason. */

import { hasTerm, i18n, term } from '@/i18n'

/** Reasons of which the sentence is somebody's own words: who at the other hub, and what they say. */
const QUOTED: readonly string[] = [
  'tier_reported_up',
  'tier_assigned_down',
  'tier_whistled',
  'tier_returned',
  'tier_refused',
  'tier_supervised',
]

function inWords(line: string): string {
  const [code = '', ...rest] = line.split(':')
  const sentence = rest.join(':').trim()
  if (!hasTerm('attention', code)) return sentence || line
  const summary = term('attention', code)
  if (!QUOTED.includes(code) || sentence === '') return summary
  return i18n.global.t('pages.problem.detail', { summary, detail: sentence })
}

/** The reasons in the user's language; one we have no words for stays the hub's sentence. */
export function attentionsInWords(attention: string | null): string[] {
  return attention === null ? [] : attention.split('\n').map(inWords)
}
