/** The list of names after `@`: the field keeps the focus, arrows go through the list, Enter takes one, Escape closes it. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Member } from "../../../../sdk/src/protocol";
import { Avatar } from "../../parts/avatar";
import { membersOf } from "./members";
import { count, say } from "./words";

const SHOWN_MAX = 6;

interface Given {
  readonly client: Client;
  readonly space: number;
  /** What is written of a name. */
  readonly asked: string;
  readonly onPick: (user: number, name: string) => void;
  readonly onClose: () => void;
}

let press: ((event: KeyboardEvent) => boolean) | undefined;

/** Whether the list has taken a key. */
export function namesPressed(event: KeyboardEvent): boolean {
  return press?.(event) ?? false;
}

/** As one looks for it: without accents, small. */
function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLocaleLowerCase();
}

export function Names({ client, space, asked, onPick, onClose }: Given) {
  const [members, setMembers] = useState<readonly Member[]>([]);
  const [at, setAt] = useState(0);
  const me = client.me.value?.user;
  useEffect(() => {
    let left = false;
    void membersOf(client, space).then((all) => left || setMembers(all));
    return () => void (left = true);
  }, [client, space]);
  const found = useMemo(() => {
    const word = plain(asked);
    const fits = ({ user, name, display_name: display }: Member) =>
      user !== me && (plain(name).startsWith(word) || plain(display).startsWith(word) || plain(display).split(" ").some((one) => one.startsWith(word)));
    return members.filter(fits).slice(0, SHOWN_MAX);
  }, [members, asked]);
  useEffect(() => setAt(0), [asked]);
  const take = (one: Member | undefined) => one && onPick(one.user, one.display_name || one.name);
  const chosen = found[Math.min(at, found.length - 1)];

  useEffect(() => {
    const field = document.activeElement;
    if (field instanceof HTMLTextAreaElement && chosen) field.setAttribute("aria-activedescendant", `name-${chosen.user}`);
    press = (event) => {
      if (!found.length || event.isComposing) return false;
      if (event.key === "ArrowDown") setAt((place) => (Math.min(place, found.length - 1) + 1) % found.length);
      else if (event.key === "ArrowUp") setAt((place) => (Math.min(place, found.length - 1) + found.length - 1) % found.length);
      else if (event.key === "Enter" || event.key === "Tab") take(chosen);
      else if (event.key === "Escape") onClose();
      else return false;
      event.preventDefault();
      return true;
    };
    return () => {
      press = undefined;
      field?.removeAttribute("aria-activedescendant");
    };
  });

  return (
    <>
      <ul id="names" class="name-list" role="listbox" aria-label={say("names.title")} hidden={!found.length}>
        {found.map((one) => (
          // The field keeps the focus.
          <li key={one.user} id={`name-${one.user}`} role="option" aria-selected={one === chosen} onMouseDown={(event) => (event.preventDefault(), take(one))}>
            <Avatar user={one.user} name={one.display_name || one.name} />
            <span dir="auto">
              {one.display_name || one.name} <bdi class="quiet">@{one.name}</bdi>
            </span>
          </li>
        ))}
      </ul>
      <p class="heard" role="status">
        {count("names.found", found.length)}
      </p>
    </>
  );
}
