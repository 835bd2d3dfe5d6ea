/** What scripts/build-web puts into embed/web: `with { type: 'file' }` gives the path of each. */
declare module '*.gz' {
  const path: string
  // biome-ignore lint/style/noDefaultExport: the shape in which the loader gives a file
  export default path
}
