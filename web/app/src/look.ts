/**
 * How the app looks here: dark or light as the system has it or as the person wants it, and how much there is beside the text.
 *
 *     the person's word, `?text` ─▶ text first ─┐
 *     what the browser says of its link ────────┼─▶ pictures(): none, small, full
 *     round trips that were measured ───────────┴─▶ an offer of text first, until it is answered
 *
 * Invariant: nobody is put into text first who did not ask for it, and nobody is asked twice.
 */
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

/** A round trip that makes one wait for everything that is pressed, and so many of them in a row. */
const SLOW_MS = 1500;
const SLOW_COUNT = 2;

/** What some browsers tell of their network (Network Information API). */
interface Connection extends EventTarget {
  readonly effectiveType?: string;
  readonly saveData?: boolean;
}

const connection = (navigator as { connection?: Connection }).connection;
const asks = new URLSearchParams(location.search).has("text");

/** Words alone: no pictures, no drawings, nothing that loads by itself. */
export const textFirst = new Cell(asks || recall("text") === "on");
/** Whether to offer it. */
export const textOffered = new Cell(false);
let slow = 0;
let felt = 0;

function isSparing(): boolean {
  return Boolean(connection?.saveData);
}

/** A link for which small pictures are the right ones. */
function isWeak(): boolean {
  return isSparing() || (connection?.effectiveType ?? "4g") !== "4g" || slow > 0;
}

function offer(): void {
  const isPoor = isSparing() || Boolean(connection?.effectiveType?.includes("2g")) || slow >= SLOW_COUNT;
  if (isPoor && !textFirst.value && !recall("text")) textOffered.set(true);
}

function show(): void {
  if (textFirst.value) document.documentElement.dataset.text = "";
  else delete document.documentElement.dataset.text;
}

/** The person's word, which stays: text first, or not. */
export function chooseText(on: boolean): void {
  keep("text", on ? "on" : "off");
  // A reload would ask for it again.
  if (!on && asks) history.replaceState(history.state, "", location.pathname + location.hash);
  textFirst.set(on);
  textOffered.set(false);
  show();
}

/** A round trip to the server was measured, in milliseconds (0: none was). */
export function feelLink(roundTripMs: number): void {
  if (!roundTripMs || roundTripMs === felt) return;
  felt = roundTripMs;
  slow = roundTripMs < SLOW_MS ? 0 : slow + 1;
  offer();
}

/** Which pictures to show, and whether anything may load by itself: with "none" only what the person asks for does. */
export function pictures(): "none" | "small" | "full" {
  if (textFirst.value) return "none";
  return isWeak() ? "small" : "full";
}

if (asks) keep("text", "on");
show();
offer();
connection?.addEventListener?.("change", offer);
