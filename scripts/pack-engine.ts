/**
 * Packs libchdb.so with zstd into embed/, beside a manifest that says what must come out of it.
 * What is packed already is left alone: it takes 15 s a core. `--slim` packs nothing.
 */
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress } from 'node:zlib'
import type { Manifest } from '../src/engine/extract.ts'
import { say } from '../src/lib/log.ts'

/** 126 MB of 559; level 19 saves 20 MB more and takes five minutes. */
const LEVEL = 9
const PACKAGE = 'node_modules/@chdb/lib-linux-x64-gnu'
const ARCHIVE = 'embed/libchdb.so.zst'
const MANIFEST = 'embed/libchdb.manifest'

async function main(slim: boolean): Promise<void> {
  mkdirSync('embed', { recursive: true })
  if (slim) {
    await Bun.write(ARCHIVE, '')
    await write({ version: '', size: 0, packed: 0, sha256: '' })
    return
  }
  const library = `${PACKAGE}/libchdb.so`
  if (!existsSync(library)) {
    say('Cannot pack the engine: node_modules is missing; run ./scripts/bootstrap\n')
    process.exit(1)
  }
  const { version } = (await Bun.file(`${PACKAGE}/package.json`).json()) as { version: string }
  const size = Bun.file(library).size
  if (await isPacked(version, size)) return
  const hasher = new Bun.CryptoHasher('sha256')
  const zstd = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
  })
  await pipeline(
    createReadStream(library, { highWaterMark: 1024 * 1024 }),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hasher.update(chunk)
        yield chunk
      }
    },
    zstd,
    createWriteStream(`${ARCHIVE}.new`),
  )
  const packed = Bun.file(`${ARCHIVE}.new`).size
  renameSync(`${ARCHIVE}.new`, ARCHIVE)
  await write({ version, size, packed, sha256: hasher.digest('hex') })
}

async function isPacked(version: string, size: number): Promise<boolean> {
  if (!existsSync(MANIFEST) || !existsSync(ARCHIVE)) return false
  const manifest = (await Bun.file(MANIFEST).json()) as Manifest
  return (
    manifest.version === version &&
    manifest.size === size &&
    Bun.file(ARCHIVE).size === manifest.packed
  )
}

async function write(manifest: Manifest): Promise<void> {
  await Bun.write(MANIFEST, `${JSON.stringify(manifest)}\n`)
}

await main(process.argv.includes('--slim'))
