import { application1m, application1s } from './application.ts'
import { applicationMap1m, applicationMap1s } from './application-map.ts'
import { l7FlowLog } from './l7-flow-log.ts'
import type { Table } from './table.ts'

/** Every table that agents fill. */
export const tables: readonly Table[] = [
  l7FlowLog,
  application1s,
  application1m,
  applicationMap1s,
  applicationMap1m,
]

export const tableOf: ReadonlyMap<number, Table> = new Map(tables.map((t) => [t.number, t]))
