/**
 * What a call needs to know of its caller's leaving. Each `AbortSignal` is one; on the path of every call something lighter
 * is made, since a signal costs as much as the decision.
 */
export interface Cancellation {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}
