/** The engine's library: unpacked once from the executable, checked, and found again after that. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { MetaflowError, sentenceOf } from '../lib/errors.ts'
import { log } from '../lib/log.ts'
import { IS_BUILT } from '../lib/worker.ts'

/** What must come out of the archive. */
export type Manifest = {
  readonly version: string
  /** Bytes unpacked; 0 in a slim build, which has none. */
  readonly size: number
  readonly packed: number
  readonly sha256: string
}
export type Packed = { readonly archive: string; readonly manifest: Manifest }

/** Left free besides the library: the engine cannot begin on a full disk. */
const ROOM_BYTES = 64 * 1024 * 1024

/**
 * Where the engine's library lies, below `directory`; unpacked now if it is not there. Run from
 * the sources it is that of node_modules.
 */
export async function engineLibrary(directory: string): Promise<string> {
  if (IS_BUILT) return await unpackEngine(directory, await embedded())
  const path = '../../node_modules/@chdb/lib-linux-x64-gnu/libchdb.so'
  return new URL(path, import.meta.url).pathname
}

/** What this executable carries. The paths must stand here as they are: the build looks for it. */
async function embedded(): Promise<Packed> {
  const { default: archive } = await import('../../embed/libchdb.so.zst', {
    with: { type: 'file' },
  })
  const { default: manifest } = await import('../../embed/libchdb.manifest', {
    with: { type: 'file' },
  })
  return { archive, manifest: (await Bun.file(manifest).json()) as Manifest }
}

/** Unpacks into `directory`, whole or not at all, and answers the library's path. */
export async function unpackEngine(
  directory: string,
  { archive, manifest }: Packed,
): Promise<string> {
  const { version, size, sha256 } = manifest
  if (size === 0)
    throw new MetaflowError(
      'unsupported',
      'Cannot start ClickHouse: this is a slim build without the engine; set clickhouse.url or clickhouse.binary',
    )
  const path = join(directory, `libchdb-${version}.so`)
  if (existsSync(path) && statSync(path).size === size) return path
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  clear(directory)
  const { bavail, bsize } = statfsSync(directory)
  if (bavail * bsize < size + ROOM_BYTES)
    throw new MetaflowError(
      'failed',
      `Cannot unpack the ClickHouse engine into ${directory}: it takes ${megabytes(size + ROOM_BYTES)}, ${megabytes(bavail * bsize)} are free`,
    )
  log('info', 'Unpacking the ClickHouse engine, once', { bytes: size, directory })
  const beside = `${path}.new`
  try {
    const found = await write(archive, beside)
    if (found.size !== size || found.sha256 !== sha256)
      throw new Error('what came out is not what was packed; the executable is damaged')
  } catch (error) {
    rmSync(beside, { force: true })
    throw cannotUnpack(directory, error)
  }
  renameSync(beside, path)
  sync(dirname(path))
  return path
}

/** Removes what earlier versions and attempts left. */
function clear(directory: string): void {
  for (const file of readdirSync(directory))
    if (/^libchdb-.*\.so(\.new)?$/.test(file)) rmSync(join(directory, file))
}

async function write(
  archive: string,
  path: string,
): Promise<{ readonly size: number; readonly sha256: string }> {
  const hasher = new Bun.CryptoHasher('sha256')
  const file = openSync(path, 'wx', 0o700)
  let size = 0
  try {
    const source = Readable.fromWeb(Bun.file(archive).stream() as never)
    const zstd = createZstdDecompress()
    source.on('error', (error) => zstd.destroy(error))
    for await (const chunk of source.pipe(zstd) as AsyncIterable<Buffer>) {
      hasher.update(chunk)
      for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at, chunk.length - at)
      size += chunk.length
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return { size, sha256: hasher.digest('hex') }
}

function sync(directory: string): void {
  const handle = openSync(directory, 'r')
  fsyncSync(handle)
  closeSync(handle)
}

function cannotUnpack(directory: string, error: unknown): MetaflowError {
  const full = (error as NodeJS.ErrnoException).code === 'ENOSPC'
  const state = full ? 'the disk is full' : sentenceOf(error)
  return new MetaflowError(
    'failed',
    `Cannot unpack the ClickHouse engine into ${directory}: ${state}`,
    error,
  )
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_000_000)} MB`
}
