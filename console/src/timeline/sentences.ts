/**
 * Every kind of fact as a sentence for people. The kinds are those of `facts.py`, `call_facts.py`, `room_facts.py` and `tier_facts.py` in `commhub/domain`;
 * a kind that is newer than this console is shown by its name with its data.
 */

import type { TimelineEntryView } from '@/api/types'

import { CONTACT } from './contact'
import { show } from './data'
import { DUTY } from './duty'
import { PROGRESS } from './progress'
import { ROOMS } from './rooms'
import type { Context, Renderer, Sentence } from './sentence'
import { SOUND } from './sound'
import { TIERS } from './tiers'

export const RENDERERS: Record<string, Renderer> = {
  ...PROGRESS,
  ...CONTACT,
  ...DUTY,
  ...SOUND,
  ...ROOMS,
  ...TIERS,
}

function unknownKind(entry: TimelineEntryView): Sentence {
  return {
    text: entry.kind.replaceAll('_', ' '),
    icon: 'more',
    tone: 'grey',
    theme: 'progress',
    chips: Object.entries(entry.data).map(([key, value]) => [key, show(value)]),
    minor: true,
  }
}

/** The sentence of one timeline entry. */
export function sentenceOf(entry: TimelineEntryView, context: Context): Sentence {
  const render = RENDERERS[entry.kind]
  return render === undefined ? unknownKind(entry) : render(entry.data, context, entry)
}
