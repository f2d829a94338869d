/** A person as a letter on a colour that is always theirs. */
const COLOURS = 8;

export function Avatar({ user, name }: { user: number; name: string }) {
  const letter = [...name.trim()][0] ?? "·";
  return (
    <span class={`avatar hue-${user % COLOURS}`} aria-hidden="true">
      {letter.toLocaleUpperCase()}
    </span>
  );
}
