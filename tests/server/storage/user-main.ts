/**
 * Runs statements in the real engine as one of the users we configure a ClickHouse server for:
 * `user-main.ts DIRECTORY USER` reads config.xml and users.xml there, as that server would, and
 * statements as JSON from DIRECTORY/statements.json. Prints what each answered, or its error.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { Chdb } from '../../../src/engine/chdb.ts'
import { sentenceOf } from '../../../src/lib/errors.ts'
import { print } from '../../../src/lib/log.ts'
import { LIBRARY } from './engine.ts'

const [directory = '', user = ''] = process.argv.slice(2)

/** The library's one session is that of `default`: the user as it is, under that name. */
function asDefault(users: string): string {
  const [own = ''] = new RegExp(`<${user}>.*</${user}>`, 's').exec(users) ?? []
  const twin = own
    .replaceAll(`${user}>`, 'default>')
    .replace(/<password_sha256_hex>.*<\/password_sha256_hex>/, '<password></password>')
  return users.replace('</users>', `${twin}</users>`)
}

const config = readFileSync(`${directory}/config.xml`, 'utf8')
const users = readFileSync(`${directory}/users.xml`, 'utf8')
writeFileSync(`${directory}/library.xml`, config.replace('/users.xml', '/library-users.xml'))
writeFileSync(`${directory}/library-users.xml`, asDefault(users))
const statements = JSON.parse(readFileSync(`${directory}/statements.json`, 'utf8')) as string[]
const connection = new Chdb(LIBRARY).connect([
  `--path=${directory}/data`,
  `--config-file=${directory}/library.xml`,
])
print(JSON.stringify(statements.map(answerOf)))
process.exit(0)

function answerOf(sql: string): string {
  try {
    return new TextDecoder().decode(connection.query(sql, 'TSVRaw').bytes).trimEnd()
  } catch (error) {
    return sentenceOf(error)
  }
}
