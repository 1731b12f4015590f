/** The fake hub's neighbours: a district above with a broken link at will, two communities' hubs below, and what is shared with them. */

import type {
  CheckInView,
  ExportView,
  IncidentTiersView,
  PeeringView,
  SharedView,
  ShareKind,
  ShareView,
  SupervisionView,
} from '../src/api/tiers.ts'

import { gone, made, ok, type Asked, type Route } from './answers.ts'
import { isoNow, newId, type FakeHub } from './hub.ts'
import { FakeJoins } from './joins.ts'
import { Refusal } from './refusal.ts'
import type { FakeRooms } from './rooms.ts'
import { directory, DISTRICT, exported, key, neighbour, neighbours } from './tier-town.ts'

const TAKEN_MS = 900

export class FakeTiers {
  private readonly hub: FakeHub
  private readonly exports: ExportView[] = []
  private readonly joins: FakeJoins
  private directory: SharedView[]

  constructor(hub: FakeHub, rooms: FakeRooms) {
    this.hub = hub
    this.joins = new FakeJoins(hub, rooms, (peer) => this.peering(peer))
    for (const one of neighbours()) hub.state.peerings[one.peer] = one
    this.directory = directory()
    this.exports.push(exported())
  }

  /** The flood was reported up some time ago: departments come, and the district wants an answer. */
  begin(): void {
    const flood = Object.values(this.hub.state.incidents).find((one) => one.category === 'flood')
    if (!flood) return
    const { id } = flood
    const share = this.share(id, DISTRICT, 'reported_up', '积水持续上涨，请求抽排力量支援')
    Object.assign(share, {
      state: 'held',
      their_number: `${flood.number.slice(0, 8)}-0031`,
      their_stage: 'accepted',
      their_unit: '区排水管理所',
      their_person: '林涛',
      their_clocks: { on_scene: isoNow(760) },
      created_at: isoNow(-1100),
    })
    const whistled = [
      this.checkIn(id, 'water', '区水务局', 900, -600),
      this.checkIn(id, 'traffic', '区交警支队', 900, -600),
      this.checkIn(id, 'power', '区供电公司', 480, -600),
    ]
    Object.assign(whistled[0] ?? {}, { state: 'checked_in', came_at: isoNow(-200), by: '周岩' })
    Object.assign(whistled[2] ?? {}, { state: 'no_show' })
    const order: SupervisionView = {
      id: newId(),
      incident_id: id,
      peer: DISTRICT,
      given: false,
      text: '请于 30 分钟内恢复通道单向通行，并反馈排水进度。',
      ordered_at: isoNow(-480),
      ordered_by: '王琳',
      due_at: isoNow(1320),
      state: 'open',
      answered_at: null,
      answered_by: null,
      answer: null,
    }
    this.shares(id).supervisions.push(order)
    this.tell(id)
    this.lines(id)
  }

  private lines(id: string): void {
    const ours: [number, string, string, Record<string, unknown>][] = [
      [
        -1100,
        'incident_shared',
        'user:chen',
        {
          peer: DISTRICT,
          share: 'reported_up',
          given: true,
          note: '积水持续上涨，请求抽排力量支援',
        },
      ],
      [
        -600,
        'unit_whistled',
        'user:chen',
        { peer: DISTRICT, unit: '区水务局', due_at: isoNow(300) },
      ],
    ]
    const theirs: [number, string, string, Record<string, unknown>][] = [
      [
        -1080,
        'incident_registered',
        'rules',
        { number: 'D-0031', category: 'flood', level: 2, loop: 'district', team: 'water' },
      ],
      [-900, 'comment_added', 'user:lin', { text: '已调度 2 台排涝泵车' }],
      [
        -480,
        'supervision_ordered',
        'user:wang',
        { peer: 'street', text: '请于 30 分钟内恢复通道单向通行', due_at: isoNow(1320) },
      ],
      [
        -200,
        'check_in_moved',
        'user:zhou',
        { peer: 'street', unit: '区水务局', state: 'checked_in' },
      ],
    ]
    for (const [at, kind, actor, data] of ours) this.hub.record(id, kind, actor, data, isoNow(at))
    for (const [at, kind, actor, data] of theirs) {
      this.hub.record(id, kind, actor, data, isoNow(at), DISTRICT)
    }
  }

  /** The link to the district breaks three minutes ago. */
  cut(up: boolean): void {
    const one = this.peering(DISTRICT)
    const after = up
      ? { up, came_up_at: isoNow(), waiting: 0, reason: null, rtt_ms: 12 }
      : {
          up,
          went_down_at: isoNow(-185),
          waiting: 12,
          reason: 'https://district.example:8443 does not answer',
          rtt_ms: null,
          skew_s: null,
        }
    this.hub.put('peerings', DISTRICT, { ...one, ...after })
    this.directory = this.directory.map((known) =>
      known.peer === DISTRICT
        ? { ...known, reachable: up && known.online, reason: up ? null : 'the link is down' }
        : known,
    )
    this.hub.tell('shared', { peer: DISTRICT })
  }

  table(): [string, RegExp, Route][] {
    const incident = (rest: string): RegExp => new RegExp(`^/tiers/incidents/([^/]+)${rest}$`)
    return [
      ['GET', /^\/tiers\/peerings$/, () => ok(Object.values(this.hub.state.peerings))],
      ['POST', /^\/tiers\/tickets$/, () => made({ ticket: this.ticket() })],
      ['POST', /^\/tiers\/peerings$/, () => made(this.pair())],
      ['POST', /^\/tiers\/keys$/, () => made({ key: key('n3w') })],
      [
        'PATCH',
        /^\/tiers\/peerings\/([^/]+)$/,
        ({ body }, peer = '') => ok(this.change(peer, body as Partial<PeeringView>)),
      ],
      [
        'DELETE',
        /^\/tiers\/peerings\/([^/]+)$/,
        (_, peer = '') =>
          ok(this.change(peer, { state: 'revoked', up: false, went_down_at: isoNow() })),
      ],
      ['GET', /^\/tiers\/directory$/, () => ok(this.directory)],
      ['GET', /^\/tiers\/exports$/, () => ok(this.exports)],
      ['POST', /^\/tiers\/exports$/, (asked) => made(this.export(asked))],
      ['DELETE', /^\/tiers\/exports\/([^/]+)$/, (_, id = '') => this.unshare(id)],
      ['GET', incident(''), (_, id = '') => ok(this.shares(id))],
      ['POST', incident('/report-up'), (asked, id = '') => this.give(asked, id, 'reported_up')],
      ['POST', incident('/assign-down'), (asked, id = '') => this.give(asked, id, 'assigned_down')],
      ['POST', incident('/whistle'), (asked, id = '') => this.whistle(asked, id)],
      [
        'POST',
        incident('/supervisions/([^/]+)/answer'),
        (a, id = '', o = '') => this.answer(a, id, o),
      ],
      ...this.joins.table(),
    ]
  }

  private peering(peer: string): PeeringView {
    const one = this.hub.state.peerings[peer]
    if (!one) throw new Refusal(404, 'not-found', `there is no neighbour «${peer}»`)
    return one
  }

  private change(peer: string, change: Partial<PeeringView>): PeeringView {
    const after = { ...this.peering(peer), ...change }
    this.hub.put('peerings', peer, after)
    return after
  }

  private ticket(): string {
    const said = {
      url: 'https://street.example:8443',
      hub: 'street-1',
      key: key('k'),
      secret: newId(),
    }
    return `commhub-tier:${Buffer.from(JSON.stringify(said)).toString('base64url')}`
  }

  private pair(): PeeringView {
    const one = neighbour('city', '市应急管理局', { tier: 'city', relation: 'upper' })
    this.hub.put('peerings', one.peer, one)
    return one
  }

  private export(asked: Asked): ExportView {
    const body = asked.body as Pick<ExportView, 'peer' | 'subject' | 'rights'>
    const made = {
      ...body,
      id: newId(),
      label: body.subject,
      created_at: isoNow(),
      created_by: 'user:chen',
    }
    this.exports.push(made)
    return made
  }

  private unshare(id: string): typeof gone {
    const at = this.exports.findIndex((one) => one.id === id)
    if (at >= 0) this.exports.splice(at, 1)
    return gone
  }

  private shares(id: string): IncidentTiersView {
    return (this.hub.state.shares[id] ??= {
      incident_id: id,
      shares: [],
      check_ins: [],
      supervisions: [],
    })
  }

  private tell(id: string): void {
    this.hub.put('shares', id, this.shares(id))
  }

  private share(id: string, peer: string, kind: ShareKind, note: string | null): ShareView {
    const all = this.shares(id).shares
    const known = all.find((one) => one.peer === peer)
    if (known) return known
    const share: ShareView = {
      incident_id: id,
      peer,
      kind,
      given: true,
      state: 'offered',
      created_at: isoNow(),
      updated_at: isoNow(),
      by: '陈晨',
      note,
      their_number: null,
      their_stage: null,
      their_unit: null,
      their_person: null,
      their_clocks: {},
    }
    all.push(share)
    return share
  }

  private give(asked: Asked, id: string, kind: ShareKind): ReturnType<typeof made> {
    const { peer = DISTRICT, note = null } = asked.body as { peer?: string; note?: string }
    const share = this.share(id, peer, kind, note)
    this.hub.record(id, 'incident_shared', 'user:chen', { peer, share: kind, given: true, note })
    this.tell(id)
    if (this.peering(peer).up) {
      setTimeout(() => {
        Object.assign(share, { state: 'held', their_number: 'D-0047', their_stage: 'registered' })
        this.hub.record(id, 'share_moved', `hub:${peer}`, {
          peer,
          before: 'offered',
          after: 'held',
        })
        this.tell(id)
      }, TAKEN_MS)
    }
    return made(share)
  }

  private checkIn(id: string, unit_id: string, unit: string, within: number, at = 0): CheckInView {
    const one: CheckInView = {
      id: newId(),
      incident_id: id,
      peer: DISTRICT,
      given: true,
      unit_id,
      unit,
      called_at: isoNow(at),
      called_by: '陈晨',
      due_at: isoNow(at + within),
      state: 'called',
      came_at: null,
      by: null,
      note: null,
    }
    this.shares(id).check_ins.push(one)
    return one
  }

  private whistle(asked: Asked, id: string): ReturnType<typeof made> {
    const body = asked.body as { peer: string; units: string[]; within_minutes: number }
    this.share(id, body.peer, 'whistled', null)
    const called = body.units.map((unit) => {
      const label = this.directory.find((one) => one.subject === `unit:${unit}`)?.label ?? unit
      return this.checkIn(id, unit, label, body.within_minutes * 60)
    })
    for (const one of called) {
      const data = { peer: body.peer, unit: one.unit, due_at: one.due_at }
      this.hub.record(id, 'unit_whistled', 'user:chen', data)
    }
    this.tell(id)
    return made(called)
  }

  private answer(asked: Asked, id: string, order: string): ReturnType<typeof ok> {
    const one = this.shares(id).supervisions.find((known) => known.id === order)
    if (!one) throw new Refusal(404, 'not-found', 'there is no such supervision')
    const { answer } = asked.body as { answer: string }
    Object.assign(one, { state: 'answered', answer, answered_at: isoNow(), answered_by: '陈晨' })
    const data = { peer: one.peer, state: 'answered', answer }
    this.hub.record(id, 'supervision_moved', 'user:chen', data)
    this.tell(id)
    return ok(one)
  }
}
