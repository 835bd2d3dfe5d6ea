/** Resolves once `holds` answers true, looking every 10 ms; rejects after `seconds`. */
export async function until(holds: () => boolean | Promise<boolean>, seconds = 10): Promise<void> {
  const deadline = Date.now() + seconds * 1000
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Cannot wait any longer: ${holds} never held`)
    await Bun.sleep(10)
  }
}
