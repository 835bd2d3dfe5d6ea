/** The one place that opens native libraries. */
import {
  CString,
  dlopen,
  type FFIFunction,
  JSCallback,
  type Pointer,
  ptr,
  read,
  toArrayBuffer,
} from 'bun:ffi'

export type NativePointer = Pointer
/** A native function as JavaScript calls it: numbers and pointers in, a number or pointer out. */
// biome-ignore lint/suspicious/noExplicitAny: its types are its signature's, unseen by TypeScript
export type NativeFunction = (...args: any[]) => any
export type Signatures = Readonly<Record<string, FFIFunction>>

/** Opens the library at `path` and answers its functions by name. Throws where either is absent. */
export function openLibrary<S extends Signatures>(
  path: string,
  signatures: S,
): { readonly [K in keyof S]: NativeFunction } {
  return dlopen(path, signatures).symbols as never
}

/** Address of `bytes`; keep `bytes` referenced for as long as native code may use it. */
export function addressOf(bytes: NodeJS.TypedArray | ArrayBuffer): NativePointer {
  return ptr(bytes as never)
}

/** `text` as NUL-terminated bytes. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`)
}

/** The text at `address`, up to its NUL. */
export function textAt(address: NativePointer): string {
  return new CString(address).toString()
}

/** A view of `size` bytes at `address`, without a copy. */
export function viewAt(address: NativePointer, size: number): ArrayBuffer {
  return toArrayBuffer(address, 0, size)
}

/** The pointer stored at `address`. */
export function pointerAt(address: NativePointer, offset = 0): NativePointer {
  return read.ptr(address, offset) as NativePointer
}

/** A function that native code may call, on this thread only, until it is closed. */
export function nativeCallback(
  call: NativeFunction,
  signature: FFIFunction,
): { readonly address: NativePointer; close(): void } {
  const callback = new JSCallback(call, signature)
  return { address: callback.ptr as NativePointer, close: () => callback.close() }
}
