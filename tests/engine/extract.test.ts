import { afterEach, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { type Packed, unpackEngine } from '../../src/engine/extract.ts'

const places: string[] = []
function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'mf-unpack-'))
  places.push(directory)
  return directory
}
afterEach(() => {
  for (const directory of places.splice(0)) rmSync(directory, { recursive: true, force: true })
})

const CONTENT = Buffer.from('an engine '.repeat(50_000))
function packed(change: Partial<Packed['manifest']> = {}, bytes?: Uint8Array): Packed {
  const archive = join(place(), 'libchdb.so.zst')
  const zst = bytes ?? zstdCompressSync(CONTENT)
  writeFileSync(archive, zst)
  const sha256 = new Bun.CryptoHasher('sha256').update(CONTENT).digest('hex')
  return {
    archive,
    manifest: { version: '1.2', size: CONTENT.length, packed: zst.length, sha256, ...change },
  }
}

describe('unpackEngine', () => {
  test('unpackEngine unpacks once, whole, and clears what was before', async () => {
    const directory = place()
    writeFileSync(join(directory, 'libchdb-1.1.so'), 'old')
    writeFileSync(join(directory, 'libchdb-1.2.so.new'), 'torn')
    writeFileSync(join(directory, 'libchdb-1.2.so'), 'cut short')
    writeFileSync(join(directory, 'mine'), 'kept')
    const path = await unpackEngine(directory, packed())
    expect(path).toBe(join(directory, 'libchdb-1.2.so'))
    expect(readFileSync(path).equals(CONTENT)).toBe(true)
    expect(readdirSync(directory).sort()).toEqual(['libchdb-1.2.so', 'mine'])
    expect(await unpackEngine(directory, { ...packed(), archive: '/nowhere' })).toBe(path)
  })

  const half = zstdCompressSync(CONTENT).subarray(0, 40)
  const cases: [string, () => Packed, string][] = [
    ['another content', () => packed({ sha256: 'ab' }), 'the executable is damaged'],
    ['another size', () => packed({ size: CONTENT.length - 1 }), 'the executable is damaged'],
    ['a cut archive', () => packed({}, half), 'Cannot unpack the ClickHouse engine into'],
    [
      'no archive',
      () => ({ ...packed(), archive: '/nowhere' }),
      'Cannot unpack the ClickHouse engine',
    ],
    ['too little room', () => packed({ size: 1e15 }), 'it takes 1000000067 MB, '],
    ['a slim build', () => packed({ size: 0 }), 'this is a slim build without the engine'],
  ]
  for (const [name, make, want] of cases)
    test(`unpackEngine leaves nothing for ${name} and says why`, async () => {
      const directory = place()
      const failure = await unpackEngine(directory, make()).catch((error) => String(error.message))
      expect(failure).toContain(want)
      expect(existsSync(join(directory, 'libchdb-1.2.so'))).toBe(false)
      expect(readdirSync(directory)).toEqual([])
    })

  test.skipIf(!existsSync('embed/libchdb.so.zst'))(
    'unpackEngine unpacks the engine that the executable carries',
    async () => {
      const manifest = JSON.parse(readFileSync('embed/libchdb.manifest', 'utf8'))
      if (manifest.size === 0) return
      const path = await unpackEngine(place(), { archive: 'embed/libchdb.so.zst', manifest })
      expect(Bun.file(path).size).toBe(manifest.size)
    },
    60_000,
  )
})
