/** A video wall: which tile shows what. Pure; what it answers is a new layout. */

import type { RoomView } from '@/api/rooms'
import type { DeviceView } from '@/api/types'

export interface Wall {
  columns: number
  /** Row by row: `cam:b7`, a source's id, or «» for an empty one. */
  tiles: string[]
}

/** What people choose from; four in a row suits walls that are wider than high. */
export const PRESETS: readonly Wall[] = [
  { columns: 1, tiles: Array<string>(1).fill('') },
  { columns: 2, tiles: Array<string>(4).fill('') },
  { columns: 3, tiles: Array<string>(6).fill('') },
  { columns: 4, tiles: Array<string>(8).fill('') },
  { columns: 3, tiles: Array<string>(9).fill('') },
  { columns: 4, tiles: Array<string>(12).fill('') },
  { columns: 4, tiles: Array<string>(16).fill('') },
]

/** More or fewer tiles; pictures that have room stay, in their order. */
export function reshape(wall: Wall, preset: Wall): Wall {
  const kept = wall.tiles.length <= preset.tiles.length ? wall.tiles : wall.tiles.filter(Boolean)
  return { columns: preset.columns, tiles: preset.tiles.map((_, i) => kept[i] ?? '') }
}

/** Put a source on a tile; one that is on the wall already trades places. */
export function put(wall: Wall, at: number, source: string): Wall {
  const from = wall.tiles.indexOf(source)
  const tiles = [...wall.tiles]
  if (from >= 0) tiles[from] = tiles[at] ?? ''
  tiles[at] = source
  return { ...wall, tiles }
}

/** Put a source on the selected tile when that is empty, else on the first empty one; null: the wall is full. */
export function add(wall: Wall, selected: number, source: string): Wall | null {
  if (wall.tiles.includes(source)) return wall
  const at = wall.tiles[selected] === '' ? selected : wall.tiles.indexOf('')
  return at < 0 ? null : put(wall, at, source)
}

export function clear(wall: Wall, at: number): Wall {
  return { ...wall, tiles: wall.tiles.map((tile, i) => (i === at ? '' : tile)) }
}

/** The tile an arrow key leads to from this one. */
export function step(wall: Wall, from: number, key: string): number {
  const by: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -wall.columns,
    ArrowDown: wall.columns,
  }
  const to = from + (by[key] ?? 0)
  return to >= 0 && to < wall.tiles.length ? to : from
}

/** What a tile's key means now. `sourceId` null: nobody has asked for this camera's picture yet. */
export interface Shown {
  name: string
  more: string
  roomId: string | null
  sourceId: string | null
  /** Its device is not reachable, or the source is gone. */
  trouble: 'offline' | 'gone' | null
}

const CAMERA = 'cam:'

/** Read the key of a tile; null for an empty one. */
export function shownBy(
  key: string,
  fleet: Readonly<Record<string, DeviceView>>,
  rooms: readonly RoomView[],
): Shown | null {
  if (key === '') return null
  if (key.startsWith(CAMERA)) return ofCamera(key.slice(CAMERA.length), fleet, rooms)
  for (const room of rooms) {
    const source = room.sources.find((one) => one.id === key)
    if (source === undefined) continue
    const trouble = source.state === 'live' ? null : 'gone'
    return { name: source.label, more: room.name, roomId: room.id, sourceId: key, trouble }
  }
  return { name: '', more: '', roomId: null, sourceId: null, trouble: 'gone' }
}

function ofCamera(
  id: string,
  fleet: Readonly<Record<string, DeviceView>>,
  rooms: readonly RoomView[],
): Shown {
  const device = fleet[id]
  const room = rooms.find((one) => one.mode === 'live' && one.device === id)
  const source = room?.sources.find((one) => one.device === id)
  const live = source?.state === 'live'
  return {
    name: device?.name ?? id,
    more: id,
    roomId: room?.id ?? null,
    sourceId: source?.id ?? null,
    // A camera that sends is there, whatever its presence says.
    trouble: device?.online || live ? null : device === undefined ? 'gone' : 'offline',
  }
}

/** One line of the list beside the wall. */
export interface Choice {
  key: string
  name: string
  more: string
  online: boolean
}

export interface Choices {
  cameras: Choice[]
  rooms: Choice[]
}

/** Everything that could be shown: body cameras, and what is live in meetings. */
export function choicesOf(
  fleet: Readonly<Record<string, DeviceView>>,
  rooms: readonly RoomView[],
  nameOf: (responder: string | null) => string,
): Choices {
  const cameras = Object.values(fleet)
    .filter((one) => one.kind === 'bodycam' && !one.revoked)
    .map((one) => ({
      key: CAMERA + one.id,
      name: one.name,
      more: [one.id, nameOf(one.responder_id)].filter(Boolean).join(' · '),
      online: one.online,
    }))
    .sort((a, b) => Number(b.online) - Number(a.online) || a.name.localeCompare(b.name))
  const meetings = rooms
    .filter((room) => room.mode !== 'live')
    .flatMap((room) =>
      room.sources
        .filter((one) => one.state === 'live' && one.device === null)
        .map((one) => ({ key: one.id, name: one.label, more: room.name, online: true })),
    )
  return { cameras, rooms: meetings }
}
