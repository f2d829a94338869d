/** Whom one blocks; taken back without a network, too. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { useLive } from "../../live";
import { people } from "../../session";
import { inWords } from "../../trouble";
import { book } from "./book";

export function Blocked({ client }: { client: Client }) {
  const { blocked } = useLive(client.places);
  const known = useLive(people);
  const [gone, setGone] = useState<readonly number[]>([]);
  const [wrong, setWrong] = useState("");
  const unblock = (user: number) => {
    setGone([...gone, user]);
    setWrong("");
    client.submit({ type: "Unblock", user }).catch((error: unknown) => {
      setGone((before) => before.filter((one) => one !== user));
      setWrong(inWords(error));
    });
  };
  const shown = [...blocked].filter((user) => !gone.includes(user));
  const named = (user: number) => known.get(user)?.display ?? book.say("blocked.somebody", { user });
  return (
    <section class="card">
      <h2>{book.say("blocked.title")}</h2>
      {shown.length === 0 && <p class="quiet">{book.say("blocked.none")}</p>}
      {shown.length > 0 && (
        <ul class="rows">
          {shown.map((user) => (
            <li key={user} class="row">
              <span class="grow" dir="auto">{named(user)}</span>
              <button aria-label={`${book.say("blocked.stop")}: ${named(user)}`} onClick={() => unblock(user)}>{book.say("blocked.stop")}</button>
            </li>
          ))}
        </ul>
      )}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </section>
  );
}
