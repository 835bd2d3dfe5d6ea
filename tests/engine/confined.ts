/** Confines itself to a directory and prints what it can still reach. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { confine } from '../../src/engine/system.ts'
import { print } from '../../src/lib/log.ts'

const [directory = '', port = ''] = process.argv.slice(2)
const abi = confine({ writable: [directory], readable: [], executable: [] })

function tried(run: () => unknown): string {
  try {
    run()
    return 'ok'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

const connected = new Promise<string>((resolve) => {
  const socket = connect(Number(port), '127.0.0.1', () => resolve('ok'))
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? String(error)))
})
const bound = new Promise<string>((resolve) => {
  const server = createServer()
  server.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? String(error)))
  server.listen(0, '127.0.0.1', () => resolve('ok'))
})
const answer = {
  abi,
  read: tried(() => readFileSync('/etc/passwd')),
  write: tried(() => writeFileSync('/tmp/metaflow-never', '')),
  list: tried(() => readdirSync('/')),
  connect: await connected,
  bind: await bound,
  inside: tried(() => writeFileSync(join(directory, 'one'), '1')),
  moved: tried(() => {
    mkdirSync(join(directory, 'below'))
    renameSync(join(directory, 'one'), join(directory, 'below', 'one'))
  }),
}
print(JSON.stringify(answer))
process.exit(0)
