/** The shape of all messages: Chinese is the source, every other language must have the same keys. */

import type desk from './zh-CN/desk'
import type pages from './zh-CN/pages'
import type rooms from './zh-CN/rooms'
import type terms from './zh-CN/terms'
import type tiers from './zh-CN/tiers'
import type timeline from './zh-CN/timeline'

type Texts<T> = { [K in keyof T]: T[K] extends string ? string : Texts<T[K]> }

export type Messages = Texts<{
  terms: typeof terms
  timeline: typeof timeline
  desk: typeof desk
  pages: typeof pages
  rooms: typeof rooms
  tiers: typeof tiers
}>
