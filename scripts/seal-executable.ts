/**
 * Takes from a built executable the environment variables by which anybody could make it run other
 * code with its privileges: BUN_BE_BUN (be the runtime's own command line), BUN_OPTIONS (more
 * runtime flags, --preload among them), BUN_INSPECT and its kin (a debugger, and its preload). A
 * name that begins with NUL is never set.
 */
const NAMES = ['BUN_BE_BUN', 'BUN_OPTIONS', 'BUN_INSPECT'] as const
const DOT = '.'.charCodeAt(0)

const path = process.argv[2]
if (path === undefined) throw new Error('Cannot seal: no executable was named')
const bytes = Buffer.from(await Bun.file(path).bytes())
for (const name of NAMES) {
  let found = 0
  for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at + 1)) {
    // As a property it stands in the runtime's own scripts, which must stay scripts.
    if (bytes[at - 1] === DOT) continue
    bytes[at] = 0
    found++
  }
  // Another runtime version may keep them otherwise: then this must be looked at again.
  if (found === 0) throw new Error(`Cannot seal ${path}: ${name} is nowhere in it`)
  process.stdout.write(`sealed ${name} at ${found} places\n`)
}
await Bun.write(path, bytes)
