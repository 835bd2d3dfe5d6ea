/** `metaflow --mode=server`: takes, keeps and answers until it is told to stop. */
import { loadConfig } from '../config/load.ts'
import { type Command, whenStopped } from '../lib/command.ts'
import { setLog } from '../lib/log.ts'
import { startServer } from '../server/server.ts'

export const serverCommand: Command = async (args, stop) => {
  const { config } = loadConfig('server', args)
  setLog(config.logLevel, 'server')
  const running = await startServer(config)
  await whenStopped(stop)
  await running.stop()
  return 0
}
