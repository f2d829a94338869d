/** Opens a community. Without a network the wish is kept, and granted when there is one. */
import { useState } from "preact/hooks";
import type { Client } from "../../../sdk/src/api";
import { useOnline } from "../online";
import { Field } from "../parts/field";
import { Head } from "../parts/head";
import { go, toSpace } from "../place";
import { inWords } from "../trouble";
import { say } from "../words";

export function NewCommunity({ client }: { client: Client }) {
  const [name, setName] = useState("");
  const [state, setState] = useState<"" | "busy" | { readonly wrong: string }>("");
  const online = useOnline(client);
  const create = async (event: Event) => {
    event.preventDefault();
    if (!name.trim()) return;
    setState("busy");
    try {
      const space = await client.submit({ type: "CreateCommunity", name: name.trim(), open_to_all: false });
      go(toSpace(space));
    } catch (error) {
      setState({ wrong: inWords(error) });
    }
  };
  return (
    <>
      <Head title={say("places.new")} />
      <form class="card" onSubmit={(event) => void create(event)}>
        <p class="quiet">{say("new.explain")}</p>
        <Field id="community" label={say("new.name")} value={name} onText={setName} maxLength={80} dir="auto" autocomplete="off" />
        {typeof state === "object" && <p class="wrong" role="alert">{state.wrong}</p>}
        {state === "busy" && !online && <p class="note" role="status">{say("app.whenOnline")}</p>}
        <button class="main" disabled={state === "busy" || !name.trim()}>
          {state === "busy" ? say("new.busy") : say("new.create")}
        </button>
      </form>
    </>
  );
}
