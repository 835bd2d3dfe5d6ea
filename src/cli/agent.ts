/** `metaflow --mode=agent`: observes this host until it is told to stop. */
import { startAgent } from '../agent/agent.ts'
import { loadConfig, reachLoopback } from '../config/load.ts'
import { type Command, whenStopped } from '../lib/command.ts'
import { MetaflowError } from '../lib/errors.ts'
import { log, setLog } from '../lib/log.ts'

export const agentCommand: Command = async (args, stop) => {
  const { config } = loadConfig('agent', args)
  setLog(config.logLevel, 'agent')
  reachLoopback()
  const agent = await startAgent(config)
  const failed = await Promise.race([whenStopped(stop), agent.failed])
  log('info', 'Stopping')
  await agent.stop()
  if (failed === undefined) return 0
  throw new MetaflowError('failed', failed)
}
