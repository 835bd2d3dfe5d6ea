/**
 * Stands for `clickhouse server --config-file=FILE`: reads the configuration as it is written for
 * one, logs as one, and serves at its port with the real engine.
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { say } from '../../src/lib/log.ts'
import { startRelay } from '../server/storage/relay.ts'

const [mode, flag = ''] = process.argv.slice(2)
if (mode !== 'server' || !flag.startsWith('--config-file=')) process.exit(64)
const file = flag.slice('--config-file='.length)
const config = readFileSync(file, 'utf8')
const users = readFileSync(one(config, /<users_xml><path>(.*)<\/path>/), 'utf8')

function one(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1]
  if (found === undefined) throw new Error(`Cannot find ${pattern} in the configuration`)
  return found
}

function tell(level: string, words: string): void {
  say(`2026.01.01 00:00:00.000000 [ ${process.pid} ] {} <${level}> Application: ${words}\n`)
}

/** The profile of a user whose password it is. */
function profileOf(user: string, password: string): string | undefined {
  const own = new RegExp(`<${user}>(.*?)</${user}>`, 's').exec(users)?.[1] ?? ''
  const digest = new Bun.CryptoHasher('sha256').update(password).digest('hex')
  if (!own.includes(`<password_sha256_hex>${digest}</password_sha256_hex>`)) return undefined
  return one(own, /<profile>(\w+)<\/profile>/)
}

const relay = await startRelay({
  directory: join(dirname(file), 'stand-in'),
  port: Number(one(config, /<http_port>(\d+)<\/http_port>/)),
  isReadonlyFixed: true,
  roleOf(user, password) {
    const profile = profileOf(user, password)
    if (profile === undefined) return undefined
    return profile === 'reader' ? 'reader' : 'writer'
  },
  onLine: (line) => tell('Information', line),
})
tell('Warning', 'Ready for connections')
let isStopping = false
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, async () => {
    isStopping = true
    await relay.stop()
    tell('Error', `Received termination signal (${signal})`)
    process.exit(0)
  })
await relay.engine.exited
if (!isStopping) {
  tell('Fatal', 'the engine ended')
  process.exit(1)
}
