/** Dark or light: as the system has it, or as the person wants it here. */
import { keep, recall } from "./kept";
import { Cell } from "./live";

export const LOOKS = ["system", "light", "dark"] as const;
export type Look = (typeof LOOKS)[number];

const kept = recall("look");
export const look = new Cell<Look>(LOOKS.find((one) => one === kept) ?? "system");

export function applyLook(chosen: Look = look.value): void {
  look.set(chosen);
  keep("look", chosen === "system" ? "" : chosen);
  if (chosen === "system") delete document.documentElement.dataset.look;
  else document.documentElement.dataset.look = chosen;
}
