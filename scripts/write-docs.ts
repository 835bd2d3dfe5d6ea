/** Writes the pages of docs/ that are made from the code. A test says when they are not current. */
import { settingsPage } from '../src/config/describe.ts'

await Bun.write('docs/settings.md', settingsPage())
