/** What the console sends, and the answers that are not things of their own (docs/protocols/http.md). */

import type { Action, PointView, Source } from './types'

export interface SignIn {
  name: string
  password: string
}

export interface NewReport {
  category: string
  text: string
  level?: number
  reporter?: string
  place?: string
  point?: PointView
  grid?: string
  occurred_at?: string
  casualties?: number
  drill?: boolean
  extra?: Record<string, unknown>
}

export interface ActionBody {
  action: Action
  note?: string
  responder_id?: string
  target_id?: string
}

export interface NewCall {
  legs: string[]
  incident?: string
  title?: string
  record?: boolean
  /** Each leg in a file of its own as well. */
  record_legs?: boolean
}

export interface RecordingSwitch {
  on: boolean
  per_leg?: boolean
}

export interface LegChange {
  muted?: boolean
  /** The leg hears the hold prompt, and nobody hears it. */
  held?: boolean
  listen_only?: boolean
  /** Ids of the legs that alone hear it; none: everybody. */
  whispers_to?: string[]
  gain_db?: number
  auto_gain?: boolean
  key?: boolean
}

/** How somebody enters a call: 通话 · 强插 · 监听 · 密语. */
export type Entry = 'talk' | 'barge_in' | 'listen' | 'whisper'

export interface NewLeg {
  endpoint: string
  mode?: Entry
  whispers_to?: string[]
}

export interface FloorCommand {
  action: 'revoke' | 'grant'
  participant?: string
}

export interface NewMessage {
  recipients: string[]
  title: string
  body: string
  incident?: string
}

export interface NewCommand {
  op: string
  args?: Record<string, unknown>
  expires_in_s?: number
}

/** Who could be sent now: best first, and why the others are out. */
export interface Candidates {
  ranked: { responder_id: string; score: number; reasons: string[] }[]
  excluded: { responder_id: string; reason: string }[]
  fallback: string | null
  shortfall: string[]
}

export interface RuleSetSummary {
  name: string
  version: string
  active: boolean
  trouble: string | null
}

export interface RuleSet extends RuleSetSummary {
  yaml: string
  tests: string | null
  versions: { version: string; stored_at: string }[]
}

export interface TrialReport {
  category: string
  source?: Source
  level?: number
  point?: PointView
  grid?: string
  casualties?: number
  drill?: boolean
}

export interface DryRunBody {
  report: TrialReport
  mode?: string
  yaml?: string
}

/** `clocks` in minutes; `trace` names the row that matched in each table, and the values read. */
export interface DecisionView {
  ruleset: string
  version: string
  loop: string
  team: string
  skills: string[]
  alarm: number
  channels: string[]
  level: number
  clocks: Record<string, number>
  trace: Record<string, unknown>
  fell_to_default: boolean
}

/** A dry run's answer: the decision with its trace, the ranking it leads to, and the cases of handed-in rules. */
export interface DryRun {
  decision: DecisionView
  ranking: Candidates
  cases: { name: string; passed: boolean; failures: string[] }[]
}
