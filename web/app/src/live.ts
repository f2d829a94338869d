/** Values that change, and components that show them. A `Cell` is the app's own; the SDK's `Live` fits the same hook. */
import { useEffect, useReducer, useRef } from "preact/hooks";
import type { Live } from "../../sdk/src/api";

export class Cell<T> implements Live<T> {
  private readonly listeners = new Set<(value: T) => void>();

  constructor(public value: T) {}

  set(value: T): void {
    if (value === this.value) return;
    this.value = value;
    for (const listener of [...this.listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    listener(this.value);
    return () => void this.listeners.delete(listener);
  }
}

/** The value now; the component is drawn again whenever it changes. */
export function useLive<T>(live: Live<T>): T {
  const [, again] = useReducer<number, void>((count) => count + 1, 0);
  const shown = useRef(live.value);
  shown.current = live.value;
  useEffect(() => {
    // It is told at once how it stands, which may be otherwise than it was drawn: effects come after the paint.
    let isFirst = true;
    return live.subscribe((value) => {
      const isShown = isFirst && value === shown.current;
      isFirst = false;
      if (!isShown) again();
    });
  }, [live]);
  return live.value;
}

/** What the browser says of its network; it knows of none sooner than a socket does. */
export const network = new Cell(navigator.onLine);
addEventListener("online", () => network.set(true));
addEventListener("offline", () => network.set(false));
