/** The fake hub's HTTP: the routes of docs/protocols/http.md that the console uses. */

import type {
  ActionBody,
  DryRunBody,
  FloorCommand,
  NewCall,
  NewLeg,
  NewMessage,
  NewReport,
} from '../src/api/bodies.ts'
import type { DeliveryView, PrincipalView, Role } from '../src/api/types.ts'

import { gone, made, ok, page, type Answer, type Asked, type Route } from './answers.ts'
import type { FakeCalls } from './calls.ts'
import { decide, rank } from './decide.ts'
import type { FakeDuty } from './duty.ts'
import type { FakeHub } from './hub.ts'
import { isoNow, newId } from './hub.ts'
import { act, submit } from './incidents.ts'
import { Refusal } from './refusal.ts'
import { FakeRoomRoutes } from './room-routes.ts'
import type { FakeRooms } from './rooms.ts'
import type { FakeTiers } from './tiers.ts'
import { RULES_YAML } from './rules.ts'
import { MOVES, RESPONDERS, UNITS } from './town.ts'
import { tone } from './tone.ts'
import { FakeWires } from './wire.ts'

const USERS: Record<string, { password: string; display: string; roles: Role[] }> = {
  chen: {
    password: 'demo',
    display: '陈晨',
    roles: ['dispatcher', 'duty_leader', 'security_admin'],
  },
  viewer: { password: 'demo', display: '观察员', roles: ['viewer'] },
}
const TRIES = 5
const LOCK_S = 300

export class FakeRoutes {
  private failures = 0
  private lockedUntil = 0
  private readonly sessions = new Map<string, PrincipalView>()
  private readonly routes: [string, RegExp, Route][]
  private readonly hub: FakeHub
  private readonly calls: FakeCalls
  private readonly duty: FakeDuty

  private readonly roomRoutes: FakeRoomRoutes

  constructor(hub: FakeHub, calls: FakeCalls, duty: FakeDuty, rooms: FakeRooms, tiers: FakeTiers) {
    this.hub = hub
    this.calls = calls
    this.duty = duty
    this.roomRoutes = new FakeRoomRoutes(hub, rooms, new FakeWires(), (asked) =>
      this.sessions.get(asked.session ?? ''),
    )
    this.routes = [...this.table(), ...this.roomRoutes.table(), ...tiers.table()]
  }

  knows(session: string | undefined): boolean {
    return session !== undefined && this.sessions.has(session)
  }

  /** WHIP and WHEP. */
  async wire(asked: Asked, offer: string): Promise<Answer> {
    try {
      this.require(asked, asked.bearer !== undefined)
      return await this.roomRoutes.wire(asked, offer)
    } catch (error) {
      return this.refused(error)
    }
  }

  private require(asked: Asked, isGuest: boolean): void {
    if (!isGuest && !this.knows(asked.session)) {
      throw new Refusal(401, 'unauthenticated', 'sign in, or send a valid key')
    }
  }

  answer(asked: Asked): Answer {
    try {
      if (asked.path !== '/accounts/session') {
        this.require(asked, asked.bearer !== undefined && FakeRoomRoutes.isForGuests(asked.path))
      }
      for (const [method, pattern, route] of this.routes) {
        const match = asked.method === method ? pattern.exec(asked.path) : null
        if (match) return route(asked, ...match.slice(1))
      }
      throw new Refusal(404, 'not-found', `there is no ${asked.path}`)
    } catch (error) {
      return this.refused(error)
    }
  }

  private refused(error: unknown): Answer {
    if (!(error instanceof Refusal)) throw error
    const { status, code, message } = error
    const more =
      code === 'locked' ? { retry_after_s: Math.ceil((this.lockedUntil - Date.now()) / 1000) } : {}
    return {
      status,
      body: {
        type: `urn:commhub:problem:${code}`,
        title: code,
        status,
        detail: message,
        code,
        ...more,
      },
    }
  }

  private actor(asked: Asked): string {
    return `user:${this.sessions.get(asked.session ?? '')?.name ?? ''}`
  }

  private signIn(asked: Asked): Answer {
    const { name, password } = asked.body as { name: string; password: string }
    if (this.lockedUntil > Date.now()) throw new Refusal(429, 'locked', 'too many wrong passwords')
    const user = USERS[name]
    if (user?.password !== password) {
      this.failures += 1
      if (this.failures >= TRIES) {
        this.failures = 0
        this.lockedUntil = Date.now() + LOCK_S * 1000
      }
      throw new Refusal(401, 'wrong-credentials', 'wrong name or password')
    }
    const principal = {
      id: newId(),
      name,
      kind: 'user',
      display_name: user.display,
      roles: user.roles,
    }
    const cookie = newId()
    this.sessions.set(cookie, principal)
    return { status: 200, body: principal, cookie }
  }

  private table(): [string, RegExp, Route][] {
    const { hub, calls, duty } = this
    return [
      ['POST', /^\/accounts\/session$/, (asked) => this.signIn(asked)],
      [
        'GET',
        /^\/accounts\/session$/,
        (asked) => {
          const principal = this.sessions.get(asked.session ?? '')
          if (!principal) throw new Refusal(401, 'unauthenticated', 'sign in, or send a valid key')
          return ok(principal)
        },
      ],
      [
        'DELETE',
        /^\/accounts\/session$/,
        (asked) => {
          this.sessions.delete(asked.session ?? '')
          return gone
        },
      ],
      ['GET', /^\/directory\/units$/, () => ok(UNITS)],
      ['GET', /^\/directory\/responders$/, () => ok(RESPONDERS)],
      ['GET', /^\/directory\/endpoints$/, () => ok(this.endpoints())],
      ['GET', /^\/incidents\/moves$/, () => ok(MOVES)],
      [
        'GET',
        /^\/incidents$/,
        ({ query }) =>
          page(Object.values(query.get('open') === 'false' ? hub.ended : hub.state.incidents)),
      ],
      ['POST', /^\/incidents$/, ({ body }) => made(submit(hub, body as NewReport, 'console'))],
      ['GET', /^\/incidents\/([^/]+)$/, (_, id = '') => this.detail(id)],
      ['GET', /^\/incidents\/([^/]+)\/timeline$/, ({ query }, id) => this.timeline(id, query)],
      [
        'POST',
        /^\/incidents\/([^/]+)\/actions$/,
        (asked, id = '') => ok(act(hub, id, asked.body as ActionBody, this.actor(asked))),
      ],
      [
        'GET',
        /^\/incidents\/([^/]+)\/candidates$/,
        (_, id = '') => {
          const tried = (hub.tasks[id] ?? []).map((task) => task.responder_id)
          return ok(rank(hub, hub.incident(id)?.team ?? '', tried))
        },
      ],
      ['GET', /^\/calls$/, () => page(Object.values(hub.state.calls))],
      ['POST', /^\/calls$/, (asked) => made(calls.place(asked.body as NewCall, this.actor(asked)))],
      [
        'GET',
        /^\/calls\/([^/]+)$/,
        (_, id = '') => {
          const call = hub.call(id)
          if (!call) throw new Refusal(404, 'not-found', 'there is no such call')
          return ok(call)
        },
      ],
      [
        'DELETE',
        /^\/calls\/([^/]+)$/,
        (asked, id = '') => {
          calls.end(id, this.actor(asked))
          return gone
        },
      ],
      [
        'POST',
        /^\/calls\/duty\/([^/]+)\/answer$/,
        ({ body }, id = '') => made(duty.answer(id, (body as { endpoint: string }).endpoint)),
      ],
      [
        'POST',
        /^\/calls\/duty\/([^/]+)\/call-back$/,
        (asked, id = '') =>
          made(duty.callBack(id, (asked.body as { endpoint: string }).endpoint, this.actor(asked))),
      ],
      ['DELETE', /^\/calls\/duty\/([^/]+)$/, (_, id = '') => ok(duty.dismiss(id))],
      [
        'POST',
        /^\/calls\/([^/]+)\/legs$/,
        ({ body }, id = '') => {
          const { endpoint, ...entry } = body as NewLeg
          return made(calls.addLeg(id, endpoint, entry))
        },
      ],
      [
        'POST',
        /^\/calls\/([^/]+)\/legs\/([^/]+)\/keys$/,
        (_, id = '', leg = '') => ok(calls.talking(id, leg)),
      ],
      [
        'POST',
        /^\/calls\/([^/]+)\/legs\/([^/]+)\/move$/,
        ({ body }, id = '', leg = '') => ok(calls.transfer(id, leg, (body as { to: string }).to)),
      ],
      [
        'POST',
        /^\/calls\/([^/]+)\/merge$/,
        ({ body }, id = '') => ok(calls.merge(id, (body as { into: string }).into)),
      ],
      [
        'POST',
        /^\/calls\/floors\/([^/]+)$/,
        ({ body }, group = '') => {
          calls.command(group, body as FloorCommand)
          return gone
        },
      ],
      [
        'PATCH',
        /^\/calls\/([^/]+)\/legs\/([^/]+)$/,
        (asked, id = '', leg = '') =>
          ok(calls.change(id, leg, asked.body as object, this.actor(asked))),
      ],
      [
        'DELETE',
        /^\/calls\/([^/]+)\/legs\/([^/]+)$/,
        (_, id = '', leg = '') => {
          calls.hangUp(id, leg)
          return gone
        },
      ],
      ['GET', /^\/calls\/([^/]+)\/recordings$/, (_, id = '') => ok(hub.recordings[id] ?? [])],
      [
        'POST',
        /^\/calls\/([^/]+)\/recordings$/,
        (asked, id = '') => ok(calls.record(id, asked.body as object, this.actor(asked))),
      ],
      ['GET', /^\/calls\/[^/]+\/recordings\/[^/]+$/, () => ({ status: 200, binary: tone(440, 3) })],
      [
        'GET',
        /^\/messages$/,
        ({ query }) =>
          page(hub.messages.filter((one) => one.incident_id === query.get('incident'))),
      ],
      ['POST', /^\/messages$/, ({ body }) => this.send(body as NewMessage)],
      ['GET', /^\/fleet\/([^/]+)\/commands$/, (_, id = '') => page(hub.commands[id] ?? [])],
      [
        'POST',
        /^\/fleet\/([^/]+)\/commands$/,
        ({ body }, id = '') => this.command(id, (body as { op: string }).op),
      ],
      [
        'GET',
        /^\/rules$/,
        () => ok([{ name: 'street-dispatch', version: '2026.11.2', active: true, trouble: null }]),
      ],
      [
        'GET',
        /^\/rules\/([^/]+)$/,
        (_, name) =>
          ok({
            name,
            version: '2026.11.2',
            active: true,
            trouble: null,
            yaml: RULES_YAML,
            tests: null,
            versions: [],
          }),
      ],
      ['POST', /^\/rules\/[^/]+\/dry-run$/, ({ body }) => this.dryRun(body as DryRunBody)],
    ]
  }

  private endpoints(): unknown[] {
    return RESPONDERS.flatMap((responder) =>
      responder.endpoints.map((endpoint) => ({
        endpoint,
        name: responder.name,
        responder_id: responder.id,
        unit_id: responder.unit_id,
        online: endpoint.startsWith('wecom:') ? null : true,
        detail: null,
      })),
    )
  }

  private detail(id: string): Answer {
    const { hub } = this
    const incident = hub.incident(id)
    if (!incident) throw new Refusal(404, 'not-found', `there is no incident ${id}`)
    return ok({
      incident,
      reports: hub.reports[id] ?? [],
      tasks: hub.tasks[id] ?? [],
      decision: hub.decisions[id] ?? {},
    })
  }

  private timeline(id: string | undefined, query: URLSearchParams): Answer {
    const after = Number(query.get('after') ?? 0)
    return page(this.hub.timeline.filter((one) => one.incident_id === id && one.seq > after))
  }

  private send(body: NewMessage): Answer {
    const id = newId()
    const at = isoNow()
    const deliveries = body.recipients.map<DeliveryView>((recipient) => ({
      id: newId(),
      message_id: id,
      channel: recipient.split(':')[0] ?? 'wecom',
      recipient: recipient.slice(recipient.indexOf(':') + 1),
      kind: 'send',
      responder_id: RESPONDERS.some((one) => one.id === recipient) ? recipient : null,
      state: 'accepted',
      attempt: 1,
      next_at: at,
      error: null,
    }))
    const message = {
      id,
      kind: 'text' as const,
      title: body.title,
      body: body.body,
      created_at: at,
      incident_id: body.incident ?? null,
      task_id: null,
      fields: [],
      actions: [],
      link: null,
      deliveries,
      acks: [],
    }
    this.hub.messages.unshift(message)
    if (body.incident) {
      const { recipients, title } = body
      const data = { message_id: id, message_kind: 'text', title, recipients, channels: ['wecom'] }
      this.hub.record(body.incident, 'message_queued', 'user:chen', data)
    }
    return made(message)
  }

  private command(id: string, op: string): Answer {
    const command = {
      id: newId(),
      device_id: id,
      op,
      at: isoNow(),
      state: 'delivered',
      expires_at: isoNow(600),
      answer: null,
    }
    ;(this.hub.commands[id] ??= []).unshift(command)
    return made(command)
  }

  private dryRun(body: DryRunBody): Answer {
    const { category, source = 'console', level } = body.report
    const { outcome, ...decision } = decide(category, source, level, body.mode)
    return ok({
      decision: { ...decision, ...outcome, escalation: [] },
      ranking: rank(this.hub, outcome.team, []),
      cases: [],
    })
  }
}
