/** WHIP and WHEP (RFC 9725): one offer over HTTP, one answer; the hub is ICE-lite, so nothing trickles. */

import { ApiError } from '@/api/client'
import type { Problem } from '@/api/types'

export type Mode = 'talk' | 'listen'

export interface Session {
  answer: string
  /** Where the session is ended. */
  location: string
}

const PROTOCOL: Record<Mode, string> = { talk: 'whip', listen: 'whep' }

async function problemOf(response: Response): Promise<Problem> {
  const status = response.status
  const body = (await response.json().catch(() => null)) as Problem | null
  return body ?? { type: 'about:blank', title: 'failed', status, detail: '', code: 'failed' }
}

/** Send an offer to an address. Throws ApiError for a refusal, and with status 0 when nobody answered. */
export async function postOffer(address: string, offer: string, token = ''): Promise<Session> {
  let response: Response
  try {
    response = await fetch(address, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', ...bearer(token) },
      body: offer,
    })
  } catch {
    throw new ApiError({
      type: 'about:blank',
      title: 'offline',
      status: 0,
      detail: '',
      code: 'offline',
    })
  }
  if (!response.ok) throw new ApiError(await problemOf(response))
  return { answer: await response.text(), location: response.headers.get('Location') ?? '' }
}

/** Send the offer for a leg. Throws as `postOffer`. */
export function sendOffer(leg: string, mode: Mode, offer: string): Promise<Session> {
  return postOffer(`/${PROTOCOL[mode]}/${encodeURIComponent(leg)}`, offer)
}

/** Hang up. The hub notices by itself when this is lost. */
export async function endSession(location: string, token = ''): Promise<void> {
  if (location === '') return
  const wish = { method: 'DELETE', keepalive: true, headers: bearer(token) }
  await fetch(location, wish).catch(() => undefined)
}

function bearer(token: string): Record<string, string> {
  return token === '' ? {} : { Authorization: `Bearer ${token}` }
}
