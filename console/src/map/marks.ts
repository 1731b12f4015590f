/** The marks on the map: incidents by the shape of their level, devices and people by a glyph, with presence. */

import { Circle, Fill, Icon, Stroke, Style, Text } from 'ol/style'

import type { DeviceView, IncidentView } from '@/api/types'
import { ICONS, type IconName } from '@/components/icons'
import { isSos } from '@/status'

import type { Palette } from './palette'

const LEVEL_PATHS = [
  'M14 4h8L32 14v8L22 32h-8L4 22v-8Z',
  'M18 3 33 18 18 33 3 18Z',
  'M6 6h24v24H6Z',
  'M18 5a13 13 0 1 1 0 26 13 13 0 0 1 0-26Z',
]

function svg(size: number, body: string): string {
  const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${size}" height="${size}" viewBox="0 0 36 36">${body}</svg>`
  return `data:image/svg+xml;utf8,${encodeURIComponent(text)}`
}

function label(text: string, colours: Palette, offsetY: number): Text {
  return new Text({
    text,
    offsetY: offsetY * colours.scale,
    font: `600 ${12 * colours.scale}px ${colours.font}`,
    fill: new Fill({ color: colours.ink }),
    stroke: new Stroke({ color: colours.halo, width: 4 }),
  })
}

function levelColour(level: number, colours: Palette): string {
  return [colours.vermillion, colours.orange, colours.sky, colours.grey][level - 1] ?? colours.grey
}

export function incidentStyle(
  incident: IncidentView,
  selected: boolean,
  colours: Palette,
  named: boolean,
): Style[] {
  const colour = isSos(incident) ? colours.sos : levelColour(incident.level, colours)
  const path = LEVEL_PATHS[incident.level - 1] ?? LEVEL_PATHS[3]
  const ink = isSos(incident) ? '#ffffff' : colours.panel
  const body = `<path d="${path}" fill="${colour}" stroke="${colours.halo}" stroke-width="2.5" stroke-linejoin="round"/><text x="18" y="23.5" text-anchor="middle" font-family="sans-serif" font-size="15" font-weight="800" fill="${ink}">${incident.level}</text>`
  const styles = [
    new Style({
      image: new Icon({ src: svg((selected ? 42 : 34) * colours.scale, body) }),
      text:
        named || selected
          ? label(incident.number.slice(-4), colours, selected ? -36 : -27)
          : undefined,
      zIndex: selected ? 100 : 60 - incident.level,
    }),
  ]
  if (selected) {
    styles.unshift(
      new Style({
        image: new Circle({
          radius: 27 * colours.scale,
          stroke: new Stroke({ color: colours.ink, width: 2 }),
        }),
        zIndex: 99,
      }),
    )
  }
  return styles
}

const DEVICE_ICONS: Record<DeviceView['kind'], IconName> = {
  bodycam: 'camera',
  radio: 'radio',
  sensor: 'sensor',
}

function glyph(icon: IconName, colour: string, colours: Palette, dashed: boolean): string {
  const dash = dashed ? ' stroke-dasharray="3 3"' : ''
  return svg(
    30 * colours.scale,
    `<circle cx="18" cy="18" r="14" fill="${colours.raised}" stroke="${colour}" stroke-width="2.5"${dash}/><g transform="translate(8.5 8.5) scale(.95)" fill="none" stroke="${colours.ink}" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"><path d="${ICONS[icon]}"/></g>`,
  )
}

/** Online is a full green ring, offline a broken grey one. */
export function deviceStyle(device: DeviceView, colours: Palette, name: string | null): Style {
  const colour = device.online ? colours.greenTone : colours.grey
  return new Style({
    image: new Icon({
      src: glyph(DEVICE_ICONS[device.kind], colour, colours, !device.online),
      opacity: device.online ? 1 : 0.75,
    }),
    text: name === null ? undefined : label(name, colours, 23),
    zIndex: 30,
  })
}

export function responderStyle(onDuty: boolean, colours: Palette, name: string | null): Style {
  return new Style({
    image: new Icon({
      src: glyph('person', onDuty ? colours.sky : colours.grey, colours, !onDuty),
    }),
    text: name === null ? undefined : label(name, colours, 23),
    zIndex: 31,
  })
}
