import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { api, ApiError, ask } from '@/api/client'

const answers: (() => Response)[] = []
const requests: Request[] = []

function json(status: number, body: unknown): () => Response {
  return () =>
    new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json' } })
}

function lost(): Response {
  throw new TypeError('network')
}

beforeEach(() => {
  answers.length = requests.length = 0
  vi.useFakeTimers()
  vi.stubGlobal('fetch', async (request: Request) => {
    requests.push(request)
    const answer = answers.shift()
    if (answer === undefined) throw new Error('not expected')
    return answer()
  })
  // A relative address needs a page in node's own fetch.
  vi.stubGlobal(
    'Request',
    class extends Request {
      constructor(input: RequestInfo | URL, init?: RequestInit) {
        super(typeof input === 'string' ? new URL(input, 'http://hub') : input, init)
      }
    },
  )
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const place = (): Promise<unknown> => ask(api.POST('/calls', { body: { legs: ['sip:1001'] } }))

describe('commands', () => {
  it('carry a key of their own', async () => {
    answers.push(json(201, {}), json(201, {}))
    await place()
    await place()
    const keys = requests.map((request) => request.headers.get('Idempotency-Key'))
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/)
    expect(keys[1]).not.toBe(keys[0])
  })

  it('that were lost on the wire are sent once more with the same key and body', async () => {
    answers.push(lost, json(201, { id: 'c1' }))
    const placed = place()
    await vi.runAllTimersAsync()
    expect(await placed).toEqual({ id: 'c1' })
    const [first, second] = requests
    expect(second?.headers.get('Idempotency-Key')).toBe(first?.headers.get('Idempotency-Key'))
    expect(await second?.json()).toEqual({ legs: ['sip:1001'] })
  })

  it('without a key are never repeated', async () => {
    answers.push(lost)
    const ended = ask(api.DELETE('/calls/{id}', { params: { path: { id: 'c1' } } }))
    await expect(ended).rejects.toMatchObject({ code: 'offline', status: 0 })
    expect(requests).toHaveLength(1)
  })

  it('that are refused say why', async () => {
    const problem = { title: 'x', status: 409, detail: 'it is closed', code: 'illegal-move' }
    answers.push(json(409, problem))
    const refused = await place().catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(ApiError)
    expect(refused).toMatchObject({ code: 'illegal-move', status: 409, message: 'it is closed' })
  })

  it('that fail without a problem document still fail clearly', async () => {
    answers.push(() => new Response('<html>', { status: 502 }))
    await expect(place()).rejects.toMatchObject({ code: 'failed', status: 502 })
  })
})
