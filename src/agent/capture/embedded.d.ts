/** What scripts/build-bpf puts into embed/: `with { type: 'file' }` gives the path of each. */
declare module '*.bpf.o' {
  const path: string
  // biome-ignore lint/style/noDefaultExport: the shape in which the loader gives a file
  export default path
}
declare module '*.so.1' {
  const path: string
  // biome-ignore lint/style/noDefaultExport: the shape in which the loader gives a file
  export default path
}
