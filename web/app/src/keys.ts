/** Keys that lead somewhere from everywhere, while one is not writing: "/" to the search. Who speaks to the computer can do without. */
import { keep, recall } from "./kept";
import { Cell } from "./live";
import { go, toPage } from "./place";

export const keysOn = new Cell(recall("keys") !== "off");

export function chooseKeys(on: boolean): void {
  keep("keys", on ? "" : "off");
  keysOn.set(on);
}

function isWriting(at: Element | null): boolean {
  return at instanceof HTMLElement && (at.isContentEditable || at.matches("input, textarea, select"));
}

window.addEventListener("keydown", (event) => {
  if (!keysOn.value || event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isWriting(document.activeElement)) return;
  // Nobody is logged in.
  if (!document.getElementById("main")) return;
  event.preventDefault();
  const field = document.getElementById("search-words");
  if (field) field.focus();
  else go(toPage("search"));
});
