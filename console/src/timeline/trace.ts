/** Why the rules decided so: the trace that a decision carries, one page a table. */

import { asObject, flag, number, object, show, type Data } from './data'

export interface TraceRow {
  column: string
  condition: string
  value: string
}

export interface TraceTable {
  name: string
  row: number
  rows: number
  isDefault: boolean
  read: TraceRow[]
  result: [column: string, value: string][]
}

function tableOf(name: string, data: Data): TraceTable {
  const when = object(data, 'when')
  const read = object(data, 'read')
  return {
    name,
    row: number(data, 'row'),
    rows: number(data, 'rows'),
    isDefault: flag(data, 'is_default'),
    read: Object.keys(read).map((column) => ({
      column,
      condition: column in when ? show(when[column]) : '',
      value: show(read[column]),
    })),
    result: Object.entries(object(data, 'result')).map(([key, value]) => [key, show(value)]),
  }
}

/** The tables of a trace in the order they were asked; parts that are no table are left out. */
export function tablesOf(trace: Data): TraceTable[] {
  return Object.entries(trace)
    .filter(([, part]) => 'row' in asObject(part))
    .map(([name, part]) => tableOf(name, asObject(part)))
}
