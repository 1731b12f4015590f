/** What a rendered fact consists of, and the small tools that all renderers share. */

import type { TimelineEntryView } from '@/api/types'
import type { IconName } from '@/components/icons'
import type { Tone } from '@/status'

import type { Data } from './data'
import { nameOfActor, type Names, type Words } from './names'

export type Theme = 'progress' | 'contact' | 'rules'

export interface Sentence {
  text: string
  icon: IconName
  tone: Tone
  theme: Theme
  /** Somebody's own words, shown as a quotation. */
  quote?: string
  chips?: [label: string, value: string][]
  /** A detail between greater steps, shown smaller. */
  minor?: boolean
  /** A step on the way that only a close look wants. */
  passing?: boolean
}

export interface Context {
  names: Names
  words: Words
  locale: string
}

export type Renderer = (data: Data, context: Context, entry: TimelineEntryView) => Sentence
type Params = Record<string, unknown>

export const fact = ({ words }: Context, key: string, params: Params = {}): string =>
  words.t(`timeline.fact.${key}`, params)

export function chips(
  { words }: Context,
  ...pairs: [key: string, value: string][]
): Sentence['chips'] {
  return pairs
    .filter(([, value]) => value !== '')
    .map(([key, value]) => [words.t(`timeline.chip.${key}`), value])
}

/** The name of whoever did it. */
export const actorOf = (entry: TimelineEntryView, { names, locale }: Context): string =>
  nameOfActor(entry.actor, names, locale)
