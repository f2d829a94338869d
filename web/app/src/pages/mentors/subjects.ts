/** Subjects as people write them, in one line. */
const MAX = 20;
const LENGTH_MAX = 60;

/** Parts at commas (also Arabic ones), without blanks around them; each once. */
export function subjectsOf(line: string): string[] {
  const parts = line.split(/[,،;\n]/).map((one) => one.trim().slice(0, LENGTH_MAX));
  return [...new Set(parts.filter(Boolean))].slice(0, MAX);
}
