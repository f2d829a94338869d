/** A labelled line to write in. */
import type { JSX } from "preact";

interface Given extends Omit<JSX.IntrinsicElements["input"], "id" | "label" | "onInput"> {
  readonly id: string;
  readonly label: string;
  readonly hint?: string;
  readonly onText: (text: string) => void;
}

export function Field({ id, label, hint, onText, ...more }: Given) {
  return (
    <p class="field">
      <label for={id}>{label}</label>
      <input id={id} aria-describedby={hint ? `${id}-hint` : undefined} onInput={(event) => onText(event.currentTarget.value)} {...more} />
      {hint && (
        <small id={`${id}-hint`} class="quiet">
          {hint}
        </small>
      )}
    </p>
  );
}
