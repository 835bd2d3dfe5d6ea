/*
 * As much of MySQL's protocol as a small server needs, with an EOF behind definitions and rows.
 *
 *   packet = size u24, number u8, payload
 *
 * https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
 */

/** Rows by the names of their columns; all values travel as text. */
export type Rows = { readonly columns: readonly string[]; readonly rows: readonly string[][] }

/** Flags: long passwords, database, protocol 4.1, transactions, secure passwords, plug-ins. */
const FLAGS = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x8_0000
const AUTOCOMMIT = 2
const UTF8 = 45
const VAR_STRING = 0xfd

/** Payloads one after the other, numbered from `first` on. */
export function packets(first: number, payloads: readonly Buffer[]): Buffer {
  return Buffer.concat(
    payloads.flatMap((payload, i) => {
      const header = Buffer.alloc(4)
      header.writeUIntLE(payload.length, 0, 3)
      header[3] = first + i
      return [header, payload]
    }),
  )
}

export function greeting(thread: number): Buffer {
  const fixed = Buffer.alloc(31)
  fixed.fill('saltsalt', 4, 12)
  fixed.writeUInt32LE(thread, 0)
  fixed.writeUInt16LE(FLAGS & 0xffff, 13)
  fixed[15] = UTF8
  fixed.writeUInt16LE(AUTOCOMMIT, 16)
  fixed.writeUInt16LE(FLAGS >>> 16, 18)
  fixed[20] = 21
  return Buffer.concat([
    Buffer.from('\n8.0.36-shop\0', 'latin1'),
    fixed,
    Buffer.from('saltsaltsalt\0mysql_native_password\0', 'latin1'),
  ])
}

export function ok(rows = 0): Buffer {
  return Buffer.from([0, rows, 0, AUTOCOMMIT, 0, 0, 0])
}

export function failure(code: number, state: string, text: string): Buffer {
  return Buffer.concat([
    Buffer.from([0xff, code & 255, code >> 8]),
    Buffer.from(`#${state}${text}`, 'utf8'),
  ])
}

const EOF = Buffer.from([0xfe, 0, 0, AUTOCOMMIT, 0])

/** A text with its size before it. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8')
  const size = bytes.length < 251 ? [bytes.length] : [0xfc, bytes.length & 255, bytes.length >> 8]
  return Buffer.concat([Buffer.from(size), bytes])
}

function definition(name: string): Buffer {
  return Buffer.concat([
    ...['def', 'shop', 't', 't', name, name].map(text),
    Buffer.from([12, UTF8, 0, 255, 0, 0, 0, VAR_STRING, 0, 0, 0, 0, 0]),
  ])
}

/** The payloads of a result; rows of a prepared statement have another form. */
export function result({ columns, rows }: Rows, isPrepared: boolean): Buffer[] {
  const nulls = Buffer.alloc(1 + ((columns.length + 9) >> 3))
  return [
    Buffer.from([columns.length]),
    ...columns.map(definition),
    EOF,
    ...rows.map((row) => Buffer.concat([...(isPrepared ? [nulls] : []), ...row.map(text)])),
    EOF,
  ]
}

/** The payloads that answer a statement to prepare. */
export function prepared(id: number, columns: readonly string[], parameters: number): Buffer[] {
  const head = Buffer.alloc(12)
  head.writeUInt32LE(id, 1)
  head.writeUInt16LE(columns.length, 5)
  head.writeUInt16LE(parameters, 7)
  const marks = Array.from({ length: parameters }, () => definition('?'))
  return [
    head,
    ...(parameters > 0 ? [...marks, EOF] : []),
    ...(columns.length > 0 ? [...columns.map(definition), EOF] : []),
  ]
}
