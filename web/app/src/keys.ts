/** Keys that lead somewhere from everywhere, while one is not writing: "/" to the search. */
import { go, toPage } from "./place";

function isWriting(at: Element | null): boolean {
  return at instanceof HTMLElement && (at.isContentEditable || at.matches("input, textarea, select"));
}

window.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isWriting(document.activeElement)) return;
  // Nobody is logged in.
  if (!document.getElementById("main")) return;
  event.preventDefault();
  const field = document.getElementById("search-words");
  if (field) field.focus();
  else go(toPage("search"));
});
