/**
 * Draws the invented town under the map where no tile server is: `npm run town` writes src/map/town.json.
 *
 * Everything is laid out on a plain grid in metres, then bent by one warp so that it looks grown. Chance is
 * seeded: the same program draws the same town.
 */

import { writeFileSync } from 'node:fs'

type Xy = [number, number]
type Feature = { type: 'Feature'; properties: Record<string, unknown>; geometry: unknown }

const CENTRE = { lat: 31.2322, lon: 121.4722 }
const METRES_PER_DEGREE = 111_320
const COLUMNS = [-1700, -1150, -620, -140, 330, 860, 1320, 1750]
const ROWS = [-1200, -760, -330, 120, 560, 960]
const MAJOR = { columns: [-620, 860], rows: [-330, 560] }
const RIVER = { y: 1120, half: 75 }
const NORTH_BANK = [1260, 1560, 1840]

const COLUMN_NAMES = ['西环路', '学府路', '人民路', '文昌街', '东街', '建设路', '望江路', '东环路']
const COLUMN_NAMES_EN = [
  'West Ring',
  'College Rd',
  'Renmin Rd',
  'Wenchang St',
  'East St',
  'Jianshe Rd',
  'Wangjiang Rd',
  'East Ring',
]
const ROW_NAMES = ['南环路', '和平街', '中山路', '长安街', '新华路', '滨河路']
const ROW_NAMES_EN = [
  'South Ring',
  'Heping St',
  'Zhongshan Rd',
  'Changan St',
  'Xinhua Rd',
  'Riverside Rd',
]

const PARKS = new Map([
  ['2:2', { name: '人民公园', name_en: 'Renmin Park' }],
  ['5:4', { name: '滨河绿地', name_en: 'Riverside Green' }],
  ['0:0', { name: '西山林地', name_en: 'West Wood' }],
])
const SQUARE = '3:3'

const PLACES: { at: Xy; name: string; name_en: string; kind: string }[] = [
  { at: [95, 500], name: '街道指挥中心', name_en: 'Command centre', kind: 'centre' },
  { at: [600, -120], name: '派出所', name_en: 'Police', kind: 'police' },
  { at: [-900, 330], name: '微型消防站', name_en: 'Fire station', kind: 'fire' },
  { at: [600, 340], name: '社区卫生服务站', name_en: 'Health centre', kind: 'medical' },
  { at: [-900, -550], name: '实验小学', name_en: 'School', kind: 'school' },
  { at: [95, -550], name: '东街农贸市场', name_en: 'Market', kind: 'market' },
  { at: [1090, -550], name: '燃气调压站', name_en: 'Gas station', kind: 'gas' },
  { at: [1090, 780], name: '轮渡码头', name_en: 'Ferry pier', kind: 'pier' },
]

let seed = 20_261_120
function chance(): number {
  // Mulberry32: small, well spread, and the same everywhere.
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

const between = (low: number, high: number): number => low + chance() * (high - low)

function warp([x, y]: Xy): Xy {
  return [x + 55 * Math.sin(y / 640) + 0.05 * y, y + 70 * Math.sin(x / 820 + 0.6)]
}

function place(point: Xy): Xy {
  const [x, y] = warp(point)
  const lat = CENTRE.lat + y / METRES_PER_DEGREE
  const lon = CENTRE.lon + x / (METRES_PER_DEGREE * Math.cos((CENTRE.lat * Math.PI) / 180))
  return [Number(lon.toFixed(6)), Number(lat.toFixed(6))]
}

function dense(from: Xy, to: Xy, step = 90): Xy[] {
  const pieces = Math.max(1, Math.round(Math.hypot(to[0] - from[0], to[1] - from[1]) / step))
  return Array.from({ length: pieces }, (_, index) => [
    from[0] + ((to[0] - from[0]) * index) / pieces,
    from[1] + ((to[1] - from[1]) * index) / pieces,
  ])
}

function feature(geometry: unknown, properties: Record<string, unknown>): Feature {
  return { type: 'Feature', properties, geometry }
}

function polygon(corners: Xy[], properties: Record<string, unknown>, step?: number): Feature {
  const ring = corners.flatMap((corner, index) =>
    dense(corner, corners[(index + 1) % corners.length] as Xy, step),
  )
  const closed = [...ring, ring[0] as Xy].map(place)
  return feature({ type: 'Polygon', coordinates: [closed] }, properties)
}

function line(points: Xy[], properties: Record<string, unknown>): Feature {
  const dotted = points.flatMap((point, index) => {
    const next = points[index + 1]
    return next === undefined ? [point] : dense(point, next)
  })
  return feature({ type: 'LineString', coordinates: dotted.map(place) }, properties)
}

function box(left: number, bottom: number, right: number, top: number): Xy[] {
  return [
    [left, bottom],
    [right, bottom],
    [right, top],
    [left, top],
  ]
}

function river(): Feature {
  const xs = Array.from({ length: 41 }, (_, index) => -2600 + index * 130)
  const bank = (side: number): Xy[] =>
    xs.map((x) => [
      x,
      RIVER.y + 38 * Math.sin(x / 420) + side * (RIVER.half + 16 * Math.sin(x / 260)),
    ])
  const ring = [...bank(1), ...bank(-1).reverse()]
  return feature(
    { type: 'Polygon', coordinates: [[...ring, ring[0] as Xy].map(place)] },
    { kind: 'water', name: '东溪河', name_en: 'Dongxi River' },
  )
}

/** Slabs in rows, as residential quarters are built. */
function quarter(left: number, bottom: number, right: number, top: number): Feature[] {
  const slabs: Feature[] = []
  for (let y = bottom + 22; y + 24 < top; y += between(48, 60)) {
    for (let x = left + 20; x + 36 < right - 12;) {
      const width = Math.min(between(44, 92), right - 18 - x)
      if (width > 28 && chance() > 0.1) {
        slabs.push(polygon(box(x, y, x + width, y + between(15, 22)), { kind: 'building' }, 400))
      }
      x += width + between(14, 26)
    }
  }
  return slabs
}

/** A few large footprints round a yard, as shops and offices are. */
function trade(left: number, bottom: number, right: number, top: number): Feature[] {
  const w = right - left
  const h = top - bottom
  const parts: [number, number, number, number][] = [
    [0.06, 0.08, 0.44, 0.4],
    [0.52, 0.08, 0.94, 0.3],
    [0.06, 0.5, 0.3, 0.92],
    [0.38, 0.58, 0.66, 0.92],
    [0.74, 0.4, 0.94, 0.92],
  ]
  return parts.map(([a, b, c, d]) =>
    polygon(
      box(left + a * w, bottom + b * h, left + c * w, bottom + d * h),
      { kind: 'building' },
      400,
    ),
  )
}

function blocks(columns: number[], rows: number[], north: boolean): Feature[] {
  return columns.slice(0, -1).flatMap((left, column) =>
    rows.slice(0, -1).flatMap((bottom, row) => {
      const right = (columns[column + 1] as number) - 16
      const top = (rows[row + 1] as number) - 16
      const key = `${column}:${row}`
      const corners = box(left + 16, bottom + 16, right, top)
      const park = north ? undefined : PARKS.get(key)
      if (park) return [polygon(corners, { kind: 'green', ...park })]
      const block = polygon(corners, { kind: 'block' })
      if (!north && key === SQUARE) {
        const yard = polygon(box(left + 90, bottom + 60, right - 70, top - 60), {
          kind: 'green',
          name: '文化广场',
          name_en: 'Culture Square',
        })
        return [block, yard]
      }
      const isTrade = !north && (column + 2 * row) % 5 === 1
      return [block, ...(isTrade ? trade : quarter)(left + 16, bottom + 16, right, top)]
    }),
  )
}

function pond(): Feature {
  const ring = Array.from({ length: 24 }, (_, index): Xy => {
    const angle = (index / 24) * 2 * Math.PI
    return [-390 + 105 * Math.cos(angle) + 14 * Math.sin(3 * angle), -110 + 62 * Math.sin(angle)]
  })
  return feature(
    { type: 'Polygon', coordinates: [[...ring, ring[0] as Xy].map(place)] },
    { kind: 'water' },
  )
}

function roads(): Feature[] {
  const [south, north] = [ROWS[0] as number, ROWS.at(-1) as number]
  const [west, east] = [COLUMNS[0] as number, COLUMNS.at(-1) as number]
  const down = COLUMNS.map((x, index) => {
    const major = MAJOR.columns.includes(x)
    const end = major ? (NORTH_BANK.at(-1) as number) : north
    return line(
      [
        [x, major ? south - 500 : south],
        [x, end],
      ],
      {
        kind: 'road',
        major,
        name: COLUMN_NAMES[index],
        name_en: COLUMN_NAMES_EN[index],
      },
    )
  })
  const across = ROWS.map((y, index) => {
    const major = MAJOR.rows.includes(y)
    return line(
      [
        [major ? west - 600 : west, y],
        [major ? east + 600 : east, y],
      ],
      {
        kind: 'road',
        major,
        name: ROW_NAMES[index],
        name_en: ROW_NAMES_EN[index],
      },
    )
  })
  const bank = NORTH_BANK.map((y) =>
    line(
      [
        [west, y],
        [east, y],
      ],
      { kind: 'road', major: false },
    ),
  )
  const bankDown = COLUMNS.filter((x) => !MAJOR.columns.includes(x)).map((x) =>
    line(
      [
        [x, NORTH_BANK[0] as number],
        [x, NORTH_BANK.at(-1) as number],
      ],
      { kind: 'road', major: false },
    ),
  )
  return [...bank, ...bankDown, ...down, ...across]
}

function grids(): Feature[] {
  const columns = [-1700, -620, 330, 1750]
  const rows = [-1200, -330, 560, 960]
  let count = 0
  return rows.slice(0, -1).flatMap((bottom, row) =>
    columns.slice(0, -1).map((left, column) => {
      count += 1
      const corners = box(left, bottom, columns[column + 1] as number, rows[row + 1] as number)
      return polygon(corners, { kind: 'grid', name: `g-${String(count).padStart(2, '0')}` })
    }),
  )
}

const features = [
  ...blocks(COLUMNS, ROWS, false),
  ...blocks(COLUMNS, NORTH_BANK, true),
  river(),
  pond(),
  ...roads(),
  ...grids(),
  ...PLACES.map(({ at, kind, ...names }) =>
    feature({ type: 'Point', coordinates: place(at) }, { kind: 'place', place: kind, ...names }),
  ),
]

const target = new URL('../src/map/town.json', import.meta.url)
writeFileSync(target, `${JSON.stringify({ type: 'FeatureCollection', features })}\n`)
console.log(`${features.length} features`)
