import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tableOf } from '../../src/model/tables/registry.ts'
import { decodeBlock } from '../../src/wire/block.ts'
import { cellsOf } from '../agent/sender/cells.ts'
import { replayToBlocks } from './replay.ts'
import { writeCapture } from './replay-capture.ts'

test('replayToBlocks gives every call of a capture as a row and in the points', () => {
  const directory = mkdtempSync(join(tmpdir(), 'metaflow-bench-'))
  try {
    const path = join(directory, 'http.pcap')
    const written = writeCapture(path, 3 << 20)
    const requests: Record<string, number> = {}
    const errors = new Map<string, number>()
    const { calls } = replayToBlocks(path, (bytes) => {
      const block = decodeBlock(bytes)
      const { name } = tableOf.get(block.header.table)!
      for (let row = 0; row < block.header.rows; row++) {
        const cells = cellsOf(block, row)
        requests[name] = (requests[name] ?? 0) + Number(cells['request'] ?? 1)
        errors.set(name, (errors.get(name) ?? 0) + errorsOf(cells))
      }
    })
    expect(calls).toBe(written)
    const names = ['l7_flow_log', 'application.1s', 'application.1m']
    const maps = ['application_map.1s', 'application_map.1m']
    for (const name of [...names, ...maps]) expect([name, requests[name]]).toEqual([name, written])
    expect(new Set(errors.values()).size).toBe(1)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

/** A row's error is its status, a point's its sum. */
function errorsOf(cells: ReturnType<typeof cellsOf>): number {
  if ('error' in cells) return Number(cells['error'])
  return Number(cells['response_status']) >= 3 ? 1 : 0
}
