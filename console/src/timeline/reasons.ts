/** Reason codes of the ranking, such as `distance_m=120` or `capacity=3/3`, as words. */

import type { Words } from './names'

const VALUE_VOCABULARY: Record<string, string> = {
  team: 'team',
  no_responder_of_team: 'team',
}

function valueOf(code: string, value: string, words: Words): string {
  if (code === 'missing_skills' || code === 'skills') {
    return words.list(value.split('+').map((skill) => words.term('skill', skill)))
  }
  const vocabulary = VALUE_VOCABULARY[code]
  return vocabulary ? words.term(vocabulary, value) : value
}

/** One reason in words; a code we do not know is shown as it came. */
export function reasonInWords(reason: string, words: Words): string {
  const [code = '', ...rest] = reason.trim().split('=')
  const value = rest.join('=')
  const sentence = words.term('reason', code, { value: valueOf(code, value, words) })
  return sentence === code ? reason : sentence
}

/** A comma-separated list of reasons in words. */
export function reasonsInWords(reasons: string, words: Words): string {
  return words.list(reasons.split(',').map((reason) => reasonInWords(reason, words)))
}
