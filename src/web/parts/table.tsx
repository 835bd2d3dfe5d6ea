import type { ComponentChildren, VNode } from 'preact'
import { place, set } from '../location.ts'

export type Field<T> = {
  readonly title: string
  readonly cell: (row: T) => ComponentChildren
  /** What rows are sorted by under this field; absent: not sortable. */
  readonly by?: (row: T) => number | string
  readonly numeric?: boolean
}

/** A table that sorts by a click on a head; the order stands in the address. */
export function Table<T>(props: {
  readonly rows: readonly T[]
  readonly fields: readonly Field<T>[]
  readonly keyOf: (row: T) => string
  readonly onRow?: (row: T) => void
  readonly selected?: string
}): VNode {
  const { fields } = props
  const [title, way] = (place.value.params.get('sort') ?? '').split('.')
  const field = fields.find((f) => f.by && f.title === title)
  const rows = field?.by ? sorted(props.rows, field.by, way === 'up' ? 1 : -1) : props.rows
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            {fields.map((f) => (
              <th
                key={f.title}
                class={f.numeric ? 'num' : ''}
                aria-sort={ariaSort(f.title, title, way)}
              >
                {f.by ? (
                  <button
                    type="button"
                    onClick={() => set({ sort: nextSort(f.title, title, way) })}
                  >
                    {f.title}
                  </button>
                ) : (
                  f.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr
              key={props.keyOf(row)}
              class={props.selected === props.keyOf(row) ? 'selected' : ''}
              onClick={(event) => isLink(event.target) || props.onRow?.(row)}
            >
              {fields.map((f) => (
                <td key={f.title} class={f.numeric ? 'num' : ''} title={wholeOf(f, row)}>
                  {f.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** A click on a link is the link's alone. */
function isLink(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('a') !== null
}

/** A text that may be cut where it stands. */
function wholeOf<T>({ by, cell }: Field<T>, row: T): string | undefined {
  const text = by ? by(row) : cell(row)
  return typeof text === 'string' ? text : undefined
}

function sorted<T>(rows: readonly T[], by: (row: T) => number | string, sign: number): T[] {
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a), by(b)]
    return x === y ? 0 : sign * (x < y ? -1 : 1)
  })
}

function nextSort(title: string, current?: string, way?: string): string {
  return `${title}.${title === current && way !== 'up' ? 'up' : 'down'}`
}

function ariaSort(
  title: string,
  current?: string,
  way?: string,
): 'ascending' | 'descending' | 'none' {
  if (title !== current) return 'none'
  return way === 'up' ? 'ascending' : 'descending'
}
