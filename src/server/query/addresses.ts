import { isIP } from 'node:net'
import type { Call, Column, Expression } from './ast.ts'
import type { Address } from './scope.ts'

/** Addresses as text: rows hold them as numbers, in a column for each family. */

type AddressCall = Call & { readonly args: readonly [Expression, Call, Call] }

/** if(is_ipv4 = 1, IPv4NumToString(ip4), IPv6NumToString(ip6)) */
export function addressText({ isV4, v4, v6 }: Address): Call {
  const { at } = isV4
  const text = (name: string, column: Column): Call => ({ kind: 'call', name, at, args: [column] })
  return {
    kind: 'call',
    name: 'if',
    at,
    args: [isOfFamily(isV4, '1'), text('IPv4NumToString', v4), text('IPv6NumToString', v6)],
    expanded: 'ip',
  }
}

/**
 * `ip = '10.0.0.1'` as a test of the column of its family, which an index may serve; what is no
 * such test stays.
 */
export function byAddress(e: Extract<Expression, { kind: 'binary' }>): Expression & typeof e {
  const { left, operator, right } = e
  if (operator !== '=' || right.kind !== 'string' || !isAddress(left)) return e
  const family = isIP(right.value)
  if (family === 0) return e
  const [isV4, v4, v6] = left.args
  const column = (family === 4 ? v4 : v6).args[0]!
  const flag = (isV4 as typeof e).left
  const parsed: Call = { kind: 'call', name: `toIPv${family}`, at: left.at, args: [right] }
  return {
    kind: 'binary',
    operator: 'AND',
    left: isOfFamily(flag, family === 4 ? '1' : '0'),
    right: { kind: 'binary', operator: '=', left: column, right: parsed },
  }
}

function isAddress(e: Expression): e is AddressCall {
  return e.kind === 'call' && e.name === 'if' && e.expanded === 'ip'
}

function isOfFamily(flag: Expression, text: string): Expression {
  return { kind: 'binary', operator: '=', left: flag, right: { kind: 'number', text } }
}
