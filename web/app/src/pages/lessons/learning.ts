/** One community's learning for a page, as long as it is looked at; and the moment. */
import { useEffect, useMemo, useReducer } from "preact/hooks";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { Learning } from "../../../../sdk/src/learning";
import { useLive } from "../../live";

const MINUTE_MS = 60_000;

export function useLearning(client: Client, space: number): Learning {
  const learning = useMemo(() => new Learning(client, space), [client, space]);
  useEffect(() => () => learning.close(), [learning]);
  return learning;
}

/** A community by its number, as long as one is in it. */
export function useSpace(client: Client, id: number): SpaceView | undefined {
  return useLive(client.places).spaces.find((one) => one.space === id);
}

/** Unix seconds; drawn anew each minute, so that what becomes due is seen. */
export function useNow(): number {
  const [, again] = useReducer<number, void>((count) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => again(), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return Math.floor(Date.now() / 1000);
}
