/** Why an incident needs a person: the hub says `code: sentence`, one line a reason. */

import { hasTerm, term } from '@/i18n'

/** The reasons in the user's language; one we have no words for stays the hub's sentence. */
export function attentionsInWords(attention: string | null): string[] {
  if (attention === null) return []
  return attention.split('\n').map((line) => {
    const [code = '', ...rest] = line.split(':')
    return hasTerm('attention', code) ? term('attention', code) : rest.join(':').trim() || line
  })
}
