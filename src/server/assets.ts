/** The page's files as the executable carries them. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import style from '../../embed/web/app.css.gz' with { type: 'file' }
import script from '../../embed/web/app.js.gz' with { type: 'file' }
import icon from '../../embed/web/icon.svg.gz' with { type: 'file' }
import page from '../../embed/web/index.html.gz' with { type: 'file' }
import type { Asset } from './apis/assets.ts'

const FILES = [
  ['/index.html', page, 'text/html; charset=utf-8'],
  ['/app.js', script, 'text/javascript; charset=utf-8'],
  ['/app.css', style, 'text/css; charset=utf-8'],
  ['/icon.svg', icon, 'image/svg+xml'],
] as const

/** Reads them by path. */
export function readAssets(): Map<string, Asset> {
  return new Map(
    FILES.map(([path, file, type]) => {
      const gzip = new Uint8Array(readFileSync(file))
      return [path, { bytes: new Uint8Array(gunzipSync(gzip)), gzip, type }]
    }),
  )
}
