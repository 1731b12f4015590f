/** Reading a fact's data, which is JSON of any age: a field that is missing or of another type is empty. */

export type Data = Record<string, unknown>

export function text(data: Data, key: string): string {
  const value = data[key]
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

export function number(data: Data, key: string): number {
  const value = data[key]
  return typeof value === 'number' ? value : 0
}

export function flag(data: Data, key: string): boolean {
  return data[key] === true
}

export function object(data: Data, key: string): Data {
  return asObject(data[key])
}

export function asObject(value: unknown): Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Data) : {}
}

export function texts(data: Data, key: string): string[] {
  const value = data[key]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

export function objects(data: Data, key: string): Data[] {
  const value = data[key]
  return Array.isArray(value) ? value.map(asObject) : []
}

/** Any JSON value in one short line. */
export function show(value: unknown): string {
  if (value === null || value === undefined || value === '') return '—'
  if (Array.isArray(value)) return value.length === 0 ? '—' : value.map(show).join(', ')
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
