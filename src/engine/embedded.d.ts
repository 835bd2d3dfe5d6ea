/** What scripts/pack-engine puts into embed/: `with { type: 'file' }` gives the path of each. */
declare module '*.so.zst' {
  const path: string
  // biome-ignore lint/style/noDefaultExport: the shape in which the loader gives a file
  export default path
}
declare module '*.manifest' {
  const path: string
  // biome-ignore lint/style/noDefaultExport: the shape in which the loader gives a file
  export default path
}
