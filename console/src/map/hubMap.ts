/** The map as an object: base, layers of marks, selection. It knows OpenLayers and nothing of stores. */

import Feature from 'ol/Feature'
import OlMap from 'ol/Map'
import Overlay from 'ol/Overlay'
import View from 'ol/View'
import { defaults as defaultControls } from 'ol/control/defaults'
import { boundingExtent } from 'ol/extent'
import { platformModifierKeyOnly } from 'ol/events/condition'
import Point from 'ol/geom/Point'
import DragBox from 'ol/interaction/DragBox'
import VectorLayer from 'ol/layer/Vector'
import { fromLonLat, toLonLat } from 'ol/proj'
import VectorSource from 'ol/source/Vector'
import type { Style } from 'ol/style'
import type { FeatureLike } from 'ol/Feature'

import type { PointView } from '@/api/types'

import { landLayer, townLayer } from './base'
import { readPalette, type Palette } from './palette'

export type Kind = 'incident' | 'device' | 'responder'

export interface Mark {
  id: string
  kind: Kind
  point: PointView
  style: (palette: Palette, named: boolean) => Style | Style[]
  /** Pulses round an SOS nobody has taken. */
  pulsing?: boolean
}

export interface MapEvents {
  picked(kind: Kind, id: string): void
  clicked(point: PointView): void
  /** A frame was drawn round these, with Ctrl (or Cmd) held. */
  framed(marks: readonly Mark[]): void
}

// Where nothing has a position yet: the invented town.
const TOWN = fromLonLat([121.4722, 31.2322])
const START_ZOOM = 15.2
const NEAR_ZOOM = 16.5
// Names of people and devices are shown when the map is this near (metres per pixel).
const NAMED_BELOW = 4

export class HubMap {
  private readonly map: OlMap
  private readonly layers: Record<Kind, VectorLayer>
  private palette: Palette = readPalette()
  private readonly marks = new Map<string, Mark>()
  private readonly pulses = new Map<string, Overlay>()
  private readonly base: VectorLayer[]
  private tag: Overlay | null = null

  constructor(
    target: HTMLElement,
    events: MapEvents,
    private readonly english: () => boolean,
  ) {
    const options = { palette: () => this.palette, english: this.english }
    this.base = [landLayer(options), townLayer(options)]
    this.layers = { responder: this.layer(), device: this.layer(), incident: this.layer() }
    this.map = new OlMap({
      target,
      layers: [...this.base, this.layers.responder, this.layers.device, this.layers.incident],
      view: new View({
        center: TOWN,
        zoom: START_ZOOM,
        minZoom: 3,
        maxZoom: 20,
        // What is looked at stays above the card of the selected incident.
        padding: [0, 0, 150, 0],
      }),
      controls: defaultControls({ attribution: false, rotate: false, zoom: false }),
    })
    this.map.on('singleclick', (event) => {
      const hit = this.at(event.pixel)
      if (hit) events.picked(hit.kind, hit.id)
      else {
        const [lon = 0, lat = 0] = toLonLat(event.coordinate)
        events.clicked({ lat, lon })
      }
    })
    const frame = new DragBox({ condition: platformModifierKeyOnly, className: 'map-frame' })
    this.map.addInteraction(frame)
    frame.on('boxend', () => {
      const extent = frame.getGeometry().getExtent()
      const inside = Object.values(this.layers)
        .filter((layer) => layer.getVisible())
        .flatMap((layer) => layer.getSource()?.getFeaturesInExtent(extent) ?? [])
      const marks = inside.map((one) => this.marks.get(String(one.getId())))
      events.framed(marks.filter((mark) => mark !== undefined))
    })
    this.map.on('pointermove', (event) => {
      if (event.dragging) return
      target.style.cursor = this.at(event.pixel) ? 'pointer' : ''
    })
  }

  /** Show exactly these marks. */
  show(marks: readonly Mark[]): void {
    this.marks.clear()
    for (const mark of marks) this.marks.set(`${mark.kind} ${mark.id}`, mark)
    for (const kind of Object.keys(this.layers) as Kind[]) {
      const source = this.layers[kind].getSource()
      source?.clear(true)
      source?.addFeatures(marks.filter((mark) => mark.kind === kind).map((mark) => featureOf(mark)))
    }
    this.pulse(marks.filter((mark) => mark.pulsing))
  }

  toggle(kind: Kind, visible: boolean): void {
    this.layers[kind].setVisible(visible)
  }

  /** Put an element beside a mark, or (null) nowhere; it goes where the mark goes. */
  attach(element: HTMLElement, point: PointView | null): void {
    if (this.tag === null) {
      this.tag = new Overlay({ element, positioning: 'bottom-center', offset: [0, -20] })
      this.map.addOverlay(this.tag)
    }
    this.tag.setPosition(point === null ? undefined : fromLonLat([point.lon, point.lat]))
  }

  /** Colours or language changed. */
  repaint(): void {
    this.palette = readPalette()
    for (const layer of [...this.base, ...Object.values(this.layers)]) layer.changed()
  }

  goTo(point: PointView): void {
    const view = this.map.getView()
    view.animate({
      center: fromLonLat([point.lon, point.lat]),
      zoom: Math.max(view.getZoom() ?? START_ZOOM, NEAR_ZOOM),
      duration: 350,
    })
  }

  fit(): void {
    const points = [...this.marks.values()].map(({ point }) => fromLonLat([point.lon, point.lat]))
    if (points.length === 0) return
    this.map.getView().fit(boundingExtent(points), {
      padding: [80, 80, 40, 80],
      maxZoom: NEAR_ZOOM,
      duration: 350,
    })
  }

  zoom(step: number): void {
    const view = this.map.getView()
    view.animate({ zoom: (view.getZoom() ?? START_ZOOM) + step, duration: 200 })
  }

  resize(): void {
    this.map.updateSize()
  }

  dispose(): void {
    this.map.setTarget(undefined)
    this.map.dispose()
  }

  private layer(): VectorLayer {
    return new VectorLayer({
      source: new VectorSource(),
      updateWhileAnimating: true,
      style: (feature, resolution) => this.style(feature, resolution),
    })
  }

  private style(feature: FeatureLike, resolution: number): Style | Style[] | undefined {
    const mark = this.marks.get(String(feature.getId()))
    return mark?.style(this.palette, resolution < NAMED_BELOW)
  }

  private at(pixel: number[]): Mark | undefined {
    const order: Kind[] = ['incident', 'device', 'responder']
    const hits = this.map.getFeaturesAtPixel(pixel, {
      hitTolerance: 4,
      layerFilter: (layer) => Object.values(this.layers).includes(layer as VectorLayer),
    })
    const marks = hits
      .map((hit) => this.marks.get(String(hit.getId())))
      .filter((m) => m !== undefined)
    return marks.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))[0]
  }

  private pulse(marks: readonly Mark[]): void {
    const wanted = new Set(marks.map((mark) => mark.id))
    for (const [id, overlay] of this.pulses) {
      if (wanted.has(id)) continue
      this.map.removeOverlay(overlay)
      this.pulses.delete(id)
    }
    for (const mark of marks) {
      const position = fromLonLat([mark.point.lon, mark.point.lat])
      const known = this.pulses.get(mark.id)
      if (known) {
        known.setPosition(position)
        continue
      }
      const element = document.createElement('div')
      element.className = 'map-pulse'
      const overlay = new Overlay({
        element,
        position,
        positioning: 'center-center',
        stopEvent: false,
      })
      this.map.addOverlay(overlay)
      this.pulses.set(mark.id, overlay)
    }
  }
}

function featureOf(mark: Mark): Feature {
  const feature = new Feature(new Point(fromLonLat([mark.point.lon, mark.point.lat])))
  feature.setId(`${mark.kind} ${mark.id}`)
  return feature
}
