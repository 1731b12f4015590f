/** What a route is asked, and what it answers. */

import type { Buffer } from 'node:buffer'

export interface Asked {
  method: string
  path: string
  query: URLSearchParams
  body: unknown
  session: string | undefined
  /** A guest's link instead of a session. */
  bearer: string | undefined
  /** Where the page is. */
  origin: string
}

export interface Answer {
  status: number
  body?: unknown
  binary?: Buffer
  text?: string
  cookie?: string
  headers?: Record<string, string>
}

export type Route = (asked: Asked, ...captured: string[]) => Answer

export const ok = (body: unknown): Answer => ({ status: 200, body })
export const made = (body: unknown): Answer => ({ status: 201, body })
export const gone: Answer = { status: 204 }
export const page = (items: unknown[]): Answer => ok({ items, next: null })
