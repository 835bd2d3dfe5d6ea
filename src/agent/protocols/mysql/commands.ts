/*
 * The first byte of a client's payload, by the names of the protocol's documentation.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
 * https://mariadb.com/kb/en/2-text-protocol/ https://mariadb.com/kb/en/3-binary-protocol-prepared-statements/
 */
export const QUIT = 0x01
export const INIT_DB = 0x02
export const QUERY = 0x03
export const FIELD_LIST = 0x04
export const CREATE_DB = 0x05
export const DROP_DB = 0x06
export const STATISTICS = 0x09
export const PROCESS_INFO = 0x0a
/** No command of its own: what a server's log calls the login. */
export const CONNECT = 0x0b
const PING = 0x0e
export const CHANGE_USER = 0x11
export const BINLOG_DUMP = 0x12
export const STMT_PREPARE = 0x16
export const STMT_EXECUTE = 0x17
export const STMT_SEND_LONG_DATA = 0x18
export const STMT_CLOSE = 0x19
export const STMT_RESET = 0x1a
export const STMT_FETCH = 0x1c
export const BINLOG_DUMP_GTID = 0x1e
export const STMT_BULK_EXECUTE = 0xfa
/** Not on the wire: a command that went by compressed, so that nobody knows which. */
export const COMPRESSED = 0x100

const NAMES: Readonly<Record<number, string>> = {
  [QUIT]: 'COM_QUIT',
  [INIT_DB]: 'COM_INIT_DB',
  [QUERY]: 'COM_QUERY',
  [FIELD_LIST]: 'COM_FIELD_LIST',
  [CREATE_DB]: 'COM_CREATE_DB',
  [DROP_DB]: 'COM_DROP_DB',
  7: 'COM_REFRESH',
  8: 'COM_SHUTDOWN',
  [STATISTICS]: 'COM_STATISTICS',
  [PROCESS_INFO]: 'COM_PROCESS_INFO',
  [CONNECT]: 'COM_CONNECT',
  12: 'COM_PROCESS_KILL',
  13: 'COM_DEBUG',
  [PING]: 'COM_PING',
  [CHANGE_USER]: 'COM_CHANGE_USER',
  [BINLOG_DUMP]: 'COM_BINLOG_DUMP',
  19: 'COM_TABLE_DUMP',
  21: 'COM_REGISTER_SLAVE',
  [STMT_PREPARE]: 'COM_STMT_PREPARE',
  [STMT_EXECUTE]: 'COM_STMT_EXECUTE',
  [STMT_SEND_LONG_DATA]: 'COM_STMT_SEND_LONG_DATA',
  [STMT_CLOSE]: 'COM_STMT_CLOSE',
  [STMT_RESET]: 'COM_STMT_RESET',
  27: 'COM_SET_OPTION',
  [STMT_FETCH]: 'COM_STMT_FETCH',
  [BINLOG_DUMP_GTID]: 'COM_BINLOG_DUMP_GTID',
  31: 'COM_RESET_CONNECTION',
  32: 'COM_CLONE',
  [STMT_BULK_EXECUTE]: 'COM_STMT_BULK_EXECUTE',
  [COMPRESSED]: 'COMPRESSED',
}

const texts: (Uint8Array | undefined)[] = []
for (const command in NAMES) texts[Number(command)] = new TextEncoder().encode(NAMES[command])

/** The name of a command as bytes, or undefined where there is no such command. */
export function nameOf(command: number): Uint8Array | undefined {
  return texts[command]
}

/** Commands that a server does not answer. */
export function isOneway(command: number): boolean {
  return command === QUIT || command === STMT_CLOSE || command === STMT_SEND_LONG_DATA
}

/** Commands that begin with a statement's id. */
export function hasStatement(command: number): boolean {
  return (
    (command >= STMT_EXECUTE && command <= STMT_RESET) ||
    command === STMT_FETCH ||
    command === STMT_BULK_EXECUTE
  )
}

/** Commands that are a text and nothing else. */
export function hasText(command: number): boolean {
  return (
    command === QUERY ||
    command === STMT_PREPARE ||
    command === INIT_DB ||
    command === CREATE_DB ||
    command === DROP_DB
  )
}
