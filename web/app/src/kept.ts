/** Small things of this browser alone (language, look, words not sent off yet). Where the browser keeps nothing, they last as long as the page. */
const PREFIX = "educonnect/";
const held = new Map<string, string>();

export function keep(name: string, value: string): void {
  held.set(name, value);
  try {
    if (value) localStorage.setItem(PREFIX + name, value);
    else localStorage.removeItem(PREFIX + name);
  } catch (error) {
    // Full or forbidden: `held` has it.
    if (!(error instanceof DOMException)) throw error;
  }
}

export function recall(name: string): string {
  try {
    return held.get(name) ?? localStorage.getItem(PREFIX + name) ?? "";
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return "";
  }
}

/** Whoever comes next finds nothing of whoever leaves; how the app looks stays. */
export function forget(): void {
  const names = [...held.keys()];
  try {
    for (let n = 0; n < localStorage.length; n++) names.push((localStorage.key(n) ?? "").replace(PREFIX, ""));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
  for (const name of names) if (name.startsWith("draft/") || name === "people" || name === "circles" || name === "decided") keep(name, "");
}
