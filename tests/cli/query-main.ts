/** The command alone, for tests that start it as a process. */
import { queryCommand } from '../../src/cli/query.ts'
import { ERRORS, MetaflowError, sentenceOf } from '../../src/lib/errors.ts'
import { say } from '../../src/lib/log.ts'

process.exit(
  await queryCommand(process.argv.slice(2)).catch((thrown) => {
    say(`${sentenceOf(thrown)}\n`)
    return ERRORS[thrown instanceof MetaflowError ? thrown.code : 'failed'].exit
  }),
)
