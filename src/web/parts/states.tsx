import type { ComponentChildren, VNode } from 'preact'
import type { Loaded } from '../api.ts'
import { moment } from '../figures.ts'

/** Shows what there is: a skeleton while loading, an error with the last answer, or nothing. */
export function Show<T>(props: {
  readonly data: Loaded<T>
  readonly isEmpty: (value: T) => boolean
  readonly empty: ComponentChildren
  readonly children: (value: T) => VNode
}): VNode {
  const { value, error, at } = props.data
  if (value === undefined) return error ? <Problem sentence={error} /> : <Skeleton />
  return (
    <>
      {error && (
        <Problem sentence={`${error} (shown: ${moment(at * 1000).slice(0, -'.000'.length)})`} />
      )}
      {props.isEmpty(value) ? <div class="empty">{props.empty}</div> : props.children(value)}
    </>
  )
}

export function Problem({ sentence }: { readonly sentence: string }): VNode {
  return (
    <div class="problem" role="alert">
      {sentence}
    </div>
  )
}

function Skeleton(): VNode {
  return (
    <div class="skeleton" role="status" aria-busy="true" aria-label="Loading">
      <i />
      <i />
      <i />
      <i />
    </div>
  )
}
