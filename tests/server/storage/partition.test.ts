import { expect, test } from 'bun:test'
import { l7FlowLog } from '../../../src/model/tables/l7-flow-log.ts'
import { CLAMP_S, partitionBlock } from '../../../src/server/storage/partition.ts'
import { decodeBlock } from '../../../src/wire/block.ts'
import { blockOf } from '../../simulation/blocks.ts'

/** The first second of a partition of 12 hours. */
const START = 41_562 * 43_200
const DAY = CLAMP_S

test.each<[string, number[], Record<number, number[] | 'all'>, number]>([
  ['one partition', [0, 1, 43_199], { 41562: 'all' }, 0],
  ['two partitions', [0, -1, 5, -2], { 41561: [1, 3], 41562: [0, 2] }, 0],
  ['a day off', [-DAY, DAY], { 41560: [0], 41564: [1] }, 0],
  ['more than a day off', [-DAY - 1, DAY + 1], { 41560: [0], 41564: [1] }, 2],
  ['1970 and 2106', [-START, 2 ** 32 - 1 - START], { 41560: [0], 41564: [1] }, 2],
])('partitionBlock splits %s', (_, times, want, clamped) => {
  const rows = times.map((time, i) => ({ id: String(i), time: START + time }))
  const block = decodeBlock(blockOf(l7FlowLog, rows))
  const got = partitionBlock(l7FlowLog, block, START * 1e6)
  const partitions = [...got.partitions].map(([partition, chosen]) => [
    partition,
    chosen === 'all' ? chosen : [...chosen],
  ])
  expect(Object.fromEntries(partitions)).toEqual(want)
  expect(got.clamped).toBe(clamped)
})
