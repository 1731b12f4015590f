/** The fake hub's memory: what the live socket shows, the timelines, and the frames that tell of changes. */

import { randomUUID } from 'node:crypto'

import type { RoomView } from '../src/api/rooms.ts'
import type { IncidentTiersView, PeeringView } from '../src/api/tiers.ts'
import type {
  CallView,
  DeviceCommandView,
  DeviceView,
  DutyCallView,
  IncidentView,
  MessageView,
  PhoneView,
  RecordingView,
  ReportView,
  ServiceView,
  TaskView,
  TimelineEntryView,
} from '../src/api/types.ts'

import { DEVICES, HUB, PHONES } from './town.ts'

interface Tables {
  incidents: Record<string, IncidentView>
  calls: Record<string, CallView>
  duty: Record<string, DutyCallView>
  fleet: Record<string, DeviceView>
  phones: Record<string, PhoneView>
  services: Record<string, ServiceView>
  rooms: Record<string, RoomView>
  shares: Record<string, IncidentTiersView>
  peerings: Record<string, PeeringView>
}

export interface FloorEvent {
  group: string
  event: string
  talker: string | null
  call_id: string | null
  queue?: string[]
}

type Op = Record<string, unknown>
export type Listener = (frame: Record<string, unknown>) => void

const COALESCE_MS = 100

export const newId = (): string => randomUUID()
export const isoNow = (offsetS = 0): string => new Date(Date.now() + offsetS * 1000).toISOString()

const keyed = <T>(items: T[], key: (item: T) => string): Record<string, T> =>
  Object.fromEntries(items.map((item) => [key(item), structuredClone(item)]))

export class FakeHub {
  readonly epoch = newId()
  seq = 0
  readonly state: Tables = {
    incidents: {},
    calls: {},
    duty: {},
    fleet: keyed(DEVICES, (device) => device.id),
    phones: keyed(PHONES, (phone) => phone.name),
    rooms: {},
    shares: {},
    peerings: {},
    services: {
      sip: { name: 'sip', state: 'up', detail: null },
      mqtt: { name: 'mqtt', state: 'up', detail: null },
      media: { name: 'media', state: 'up', detail: null },
      wecom: { name: 'wecom', state: 'degraded', detail: '令牌刷新失败，3 秒后重试' },
    },
  }
  readonly ended: Record<string, IncidentView> = {}
  readonly pastRooms: Record<string, RoomView> = {}
  readonly pastCalls: Record<string, CallView> = {}
  readonly reports: Record<string, ReportView[]> = {}
  readonly tasks: Record<string, TaskView[]> = {}
  readonly decisions: Record<string, Record<string, unknown>> = {}
  readonly timeline: TimelineEntryView[] = []
  readonly messages: MessageView[] = []
  readonly recordings: Record<string, RecordingView[]> = {}
  readonly commands: Record<string, DeviceCommandView[]> = {}
  readonly floors: Record<string, FloorEvent> = {}
  private readonly listeners = new Set<Listener>()
  private pending: Op[] = []
  private count = 0
  private entries = 0

  snapshot(): Record<string, unknown> {
    const state = { ...this.state, floors: this.floors }
    return { op: 'snapshot', epoch: this.epoch, seq: this.seq, state, hub: HUB }
  }

  listen(listener: Listener): () => void {
    this.flush()
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  put<T extends keyof Tables>(table: T, id: string, value: Tables[T][string]): void {
    ;(this.state[table] as Record<string, unknown>)[id] = value
    this.push({ put: table, id, value: structuredClone(value) })
  }

  drop(table: keyof Tables, id: string): void {
    Reflect.deleteProperty(this.state[table], id)
    this.push({ del: table, id })
  }

  /** Write a line of a timeline and tell the desks. `at` lets a story begin in the past. */
  record(
    incident_id: string,
    kind: string,
    actor: string,
    data: Record<string, unknown>,
    at: string = isoNow(),
    hub: string = HUB.id,
  ): void {
    this.entries += 1
    const entry = { seq: this.entries, incident_id, at, actor, kind, data, hub }
    this.timeline.push(entry)
    this.push({ event: 'timeline', value: entry })
  }

  /** Something that passes by. */
  tell(event: string, value: unknown): void {
    this.push({ event, value })
  }

  floor(event: FloorEvent): void {
    this.floors[event.group] = event
    this.push({ event: 'floor', value: event })
  }

  incident(id: string): IncidentView | undefined {
    return this.state.incidents[id] ?? this.ended[id]
  }

  call(id: string): CallView | undefined {
    return this.state.calls[id] ?? this.pastCalls[id]
  }

  nextNumber(): string {
    this.count += 1
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '')
    return `${day}-${String(this.count).padStart(4, '0')}`
  }

  private push(op: Op): void {
    if (this.pending.length === 0) setTimeout(() => this.flush(), COALESCE_MS)
    this.pending.push(op)
  }

  private flush(): void {
    if (this.pending.length === 0) return
    const from = this.seq
    this.seq += this.pending.length
    const frame = { op: 'delta', epoch: this.epoch, from, to: this.seq, ops: this.pending }
    this.pending = []
    for (const listener of this.listeners) listener(frame)
  }
}
