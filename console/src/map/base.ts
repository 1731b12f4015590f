/**
 * The fallback base map: coastlines of the world (no borders) and our invented town, all bundled. A tile source
 * of the district's own map goes under `data` layers the same way.
 */

import GeoJSON from 'ol/format/GeoJSON'
import VectorLayer from 'ol/layer/Vector'
import VectorSource from 'ol/source/Vector'
import { Fill, Stroke, Style, Text } from 'ol/style'
import type { FeatureLike } from 'ol/Feature'
import type { FeatureCollection } from 'geojson'
import { feature as decode } from 'topojson-client'

import type { Palette } from './palette'
import landUrl from 'world-atlas/land-50m.json?url'
import townUrl from './town.json?url'

const FORMAT = new GeoJSON({ featureProjection: 'EPSG:3857' })
// Metres per pixel above which a detail would only be noise.
const SHOWN_BELOW = { building: 6, roadName: 5, place: 9, grid: 14 }

const ORDER: Record<string, number> = {
  block: 1,
  green: 2,
  building: 3,
  water: 4,
  road: 5,
  grid: 7,
  place: 8,
}

export interface BaseOptions {
  palette: () => Palette
  english: () => boolean
}

/** The land of the world; its features arrive when the file has been fetched. */
export function landLayer({ palette }: BaseOptions): VectorLayer {
  const source = new VectorSource()
  void fetchJson(landUrl).then((topology) => {
    const land = decode(topology as never, 'land' as never) as unknown as FeatureCollection
    source.addFeatures(FORMAT.readFeatures(land))
  })
  return new VectorLayer({
    source,
    style: () => new Style({ fill: new Fill({ color: palette().land }) }),
  })
}

/** The town, drawn in one pass in the order of `ORDER`. */
export function townLayer(options: BaseOptions): VectorLayer {
  const source = new VectorSource()
  void fetchJson(townUrl).then((town) => source.addFeatures(FORMAT.readFeatures(town)))
  return new VectorLayer({
    source,
    declutter: true,
    renderBuffer: 200,
    style: (feature, resolution) => townStyle(feature, resolution, options),
  })
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`the base map is missing: ${url}`)
  return response.json()
}

function townStyle(
  feature: FeatureLike,
  resolution: number,
  { palette, english }: BaseOptions,
): Style[] | undefined {
  const colours = palette()
  const kind = String(feature.get('kind'))
  const name = String((english() && feature.get('name_en')) || feature.get('name') || '')
  const zIndex = ORDER[kind] ?? 0
  const fill = (color: string, line?: string): Style =>
    new Style({
      fill: new Fill({ color }),
      stroke: line ? new Stroke({ color: line, width: 1 }) : undefined,
      zIndex,
    })
  switch (kind) {
    case 'block':
      return [fill(colours.block)]
    case 'green':
      return [fill(colours.green), ...label(name, colours, 9, resolution < 8)]
    case 'water':
      return [fill(colours.water), ...label(name, colours, 9, resolution < 12)]
    case 'building':
      return resolution < SHOWN_BELOW.building
        ? [fill(colours.building, resolution < 2.5 ? colours.buildingLine : undefined)]
        : undefined
    case 'road':
      return road(feature, resolution, name, colours)
    case 'grid':
      return resolution < SHOWN_BELOW.grid ? grid(name, colours) : undefined
    case 'place':
      return resolution < SHOWN_BELOW.place ? landmark(name, colours) : undefined
    default:
      return undefined
  }
}

function road(feature: FeatureLike, resolution: number, name: string, colours: Palette): Style[] {
  const major = feature.get('major') === true
  const width = Math.max(1, Math.min(major ? 26 : 15, (major ? 22 : 12) / resolution))
  const styles = [
    new Style({ stroke: new Stroke({ color: colours.roadCase, width: width + 2 }), zIndex: 5 }),
    new Style({
      stroke: new Stroke({ color: major ? colours.roadMajor : colours.road, width }),
      zIndex: major ? 6.1 : 6,
    }),
  ]
  if (name && resolution < SHOWN_BELOW.roadName) {
    styles.push(
      new Style({
        text: new Text({
          text: name,
          placement: 'line',
          repeat: 520,
          font: `${major ? 600 : 500} ${11 * colours.scale}px ${colours.font}`,
          fill: new Fill({ color: colours.text }),
          stroke: new Stroke({ color: colours.halo, width: 3 }),
        }),
        zIndex: 6.5,
      }),
    )
  }
  return styles
}

function grid(name: string, colours: Palette): Style[] {
  return [
    new Style({
      stroke: new Stroke({ color: colours.grid, width: 1, lineDash: [7, 6] }),
      zIndex: 7,
    }),
    ...label(name.toUpperCase(), colours, 7.5, true, 600),
  ]
}

function landmark(name: string, colours: Palette): Style[] {
  return [
    new Style({
      text: new Text({
        text: `◆ ${name}`,
        font: `560 ${11 * colours.scale}px ${colours.font}`,
        fill: new Fill({ color: colours.text }),
        stroke: new Stroke({ color: colours.halo, width: 3 }),
      }),
      zIndex: 8,
    }),
  ]
}

function label(
  name: string,
  colours: Palette,
  zIndex: number,
  show: boolean,
  weight = 500,
): Style[] {
  if (!show || !name) return []
  return [
    new Style({
      text: new Text({
        text: name,
        font: `${weight} ${11 * colours.scale}px ${colours.font}`,
        fill: new Fill({ color: colours.text }),
        stroke: new Stroke({ color: colours.halo, width: 3 }),
      }),
      zIndex,
    }),
  ]
}
