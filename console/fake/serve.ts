/** Puts the fake hub behind a Node HTTP server: its routes, its live socket, and its story. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

import { WebSocketServer, type WebSocket } from 'ws'

import { FakeCalls } from './calls.ts'
import { FakeDuty } from './duty.ts'
import { FakeHub } from './hub.ts'
import type { Answer, Asked } from './answers.ts'
import { meet } from './meetings.ts'
import { FakeRooms } from './rooms.ts'
import { FakeRoutes } from './routes.ts'
import { FakeTiers } from './tiers.ts'
import { begin, goOn, raiseSos } from './story.ts'

const API = '/api/v1'
const BEARER = /^Bearer (.+)$/
const COOKIE = /(?:^|;\s*)commhub_session=([^;]+)/

function sessionOf(request: IncomingMessage): string | undefined {
  return COOKIE.exec(request.headers.cookie ?? '')?.[1]
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const piece of request) text += String(piece)
  return text
}

/** What of a server the live socket needs; Vite's own server is one too. */
interface Upgradable {
  on(
    event: 'upgrade',
    listener: (request: IncomingMessage, socket: Duplex, head: Buffer) => void,
  ): unknown
}

export class FakeServer {
  private readonly hub = new FakeHub()
  private readonly calls = new FakeCalls(this.hub)
  private readonly duty = new FakeDuty(this.hub, this.calls)
  private readonly rooms = new FakeRooms(this.hub)
  private readonly tiers = new FakeTiers(this.hub, this.rooms)
  private readonly routes = new FakeRoutes(this.hub, this.calls, this.duty, this.rooms, this.tiers)
  private readonly sockets = new WebSocketServer({ noServer: true })

  constructor() {
    begin(this.hub)
    this.tiers.begin()
    meet(this.hub, this.rooms)
    goOn(this.hub, this.calls, this.duty)
  }

  /** Answer a request of the API; false when it is none. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const url = new URL(request.url ?? '/', 'http://fake')
    if (url.pathname === '/fake/sos') {
      raiseSos(this.hub)
      response.writeHead(204).end()
      return true
    }
    if (url.pathname === '/fake/cut' || url.pathname === '/fake/mend') {
      this.tiers.cut(url.pathname === '/fake/mend')
      response.writeHead(204).end()
      return true
    }
    if (url.pathname === '/fake/duty') {
      const point = { lat: 31.2342, lon: 121.4701 }
      this.duty.ring('sip:1002', '孙磊', { responder_id: 'sun', point })
      this.duty.ring('tel:+8613800000066', '')
      this.duty.miss('tel:+8613800000077', '', 600)
      response.writeHead(204).end()
      return true
    }
    const isWire = /^\/wh[ie]p\//.test(url.pathname)
    if (!isWire && !url.pathname.startsWith(API)) return false
    const text = await textOf(request)
    const asked: Asked = {
      method: request.method ?? 'GET',
      path: isWire ? url.pathname : url.pathname.slice(API.length),
      query: url.searchParams,
      body: isWire || text === '' ? undefined : JSON.parse(text),
      session: sessionOf(request),
      bearer: BEARER.exec(request.headers.authorization ?? '')?.[1],
      origin: `http://${request.headers.host ?? ''}`,
    }
    reply(response, isWire ? await this.routes.wire(asked, text) : this.routes.answer(asked))
    return true
  }

  /** Serve the live socket on this server. */
  attach(server: Upgradable): void {
    server.on('upgrade', (request, socket, head) => {
      if (request.url !== `${API}/live`) return
      if (!this.routes.knows(sessionOf(request))) {
        socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
        return
      }
      this.sockets.handleUpgrade(request, socket, head, (wire) => this.speak(wire))
    })
  }

  private speak(wire: WebSocket): void {
    let stop: () => void = () => undefined
    wire.on('message', () => {
      // A hello and a resync are answered alike: with everything there is.
      stop()
      stop = this.hub.listen((frame) => wire.send(JSON.stringify(frame)))
      wire.send(JSON.stringify(this.hub.snapshot()))
    })
    wire.on('close', () => stop())
  }
}

function reply(response: ServerResponse, answer: Answer): void {
  response.statusCode = answer.status
  if (answer.cookie) {
    response.setHeader(
      'Set-Cookie',
      `commhub_session=${answer.cookie}; Path=/; HttpOnly; SameSite=Strict`,
    )
  }
  for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value)
  if (answer.text !== undefined) response.end(answer.text)
  else if (answer.binary) {
    response.setHeader('Content-Type', 'audio/wav')
    response.end(answer.binary)
  } else if (answer.body === undefined) response.end()
  else {
    const kind = answer.status >= 400 ? 'application/problem+json' : 'application/json'
    response.setHeader('Content-Type', kind)
    response.end(JSON.stringify(answer.body))
  }
}
