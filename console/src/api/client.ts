/**
 * The typed client. Commands carry an Idempotency-Key, so one that was lost on the wire is sent once more
 * without harm; what they changed comes back by the live socket, never from a guess of ours.
 */

import createClient, { type Client } from 'openapi-fetch'

import { noteServerTime } from '@/live/time'

import type { paths } from './paths'
import type { Problem } from './types'

export const API = '/api/v1'
const RETRY_AFTER_MS = 400

/** A refusal of the hub, or `offline` when nobody answered. */
export class ApiError extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail || problem.title)
    this.problem = problem
  }

  get code(): string {
    return this.problem.code
  }

  get status(): number {
    return this.problem.status
  }
}

/** 128 random bits as text; `crypto.randomUUID` is missing where a hub is reached over plain HTTP. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function problemOf(status: number, body: unknown): Problem {
  if (typeof body === 'object' && body !== null && 'code' in body) return body as Problem
  const code = status === 0 ? 'offline' : 'failed'
  return { type: 'about:blank', title: code, status, detail: '', code }
}

async function sendOnceMore(request: Request): Promise<Response> {
  const again = request.clone()
  try {
    return await fetch(request)
  } catch (error) {
    const isRepeatable = request.method === 'GET' || request.headers.has('Idempotency-Key')
    if (!isRepeatable) throw error
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER_MS))
    return await fetch(again)
  }
}

/** A client for whoever is signed in, or for the bearer of a token. */
export function makeClient(token = ''): Client<paths> {
  const headers = token === '' ? {} : { Authorization: `Bearer ${token}` }
  const client = createClient<paths>({ baseUrl: API, fetch: sendOnceMore, headers })
  client.use({
    onRequest({ request }) {
      if (request.method === 'POST' && !request.headers.has('Idempotency-Key')) {
        request.headers.set('Idempotency-Key', newKey())
      }
      return request
    },
    onResponse({ response }) {
      noteServerTime(response.headers.get('Date'))
      return response
    },
  })
  return client
}

export const api = makeClient()

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The answer's data; throws ApiError for a refusal or a hub that is not there. */
export async function ask<T>(answering: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await answering
  } catch {
    throw new ApiError(problemOf(0, null))
  }
  if (!answer.response.ok) throw new ApiError(problemOf(answer.response.status, answer.error))
  return answer.data as T
}
