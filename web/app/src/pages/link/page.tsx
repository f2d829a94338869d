/**
 * What links in mails open, and where one is asked for: `#/link` for a forgotten password, `#/link/0/password=…`, `#/link/0/address=…`.
 *
 * Nothing happens by opening a link: mail programs and scanners open every one. The code leaves the address bar at once, since a computer
 * that others use keeps its history.
 */
import { useLayoutEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import english from "../../../messages/link/en.json";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Field } from "../../parts/field";
import { Mark } from "../../parts/mark";
import { HOME } from "../../place";
import { inWords } from "../../trouble";
import { openBook, say } from "../../words";

const book = openBook(english, {
  es: () => import("../../../messages/link/es.json"),
  fr: () => import("../../../messages/link/fr.json"),
  ar: () => import("../../../messages/link/ar.json"),
  sw: () => import("../../../messages/link/sw.json"),
});

const GONE = 410;
/** A code by itself, or the whole link around it. */
const CODE = /(?:(address|password)=)?([A-Za-z0-9_-]{43})$/;
type What = "address" | "password";

function read(text: string): { readonly what: What; readonly code: string } | null {
  const [, what = "password", code] = CODE.exec(text.trim()) ?? [];
  return code ? { what: what as What, code } : null;
}

export default function LinkPage({ client, rest }: PageGiven) {
  const [link, setLink] = useState(() => read(rest[0] ?? ""));
  const inside = useLive(client.me) !== null;
  useLayoutEffect(() => {
    if (rest[0]) history.replaceState(history.state, "", `${location.pathname}${location.search}#/link`);
  }, []);
  return (
    <div class={inside ? "link-page card" : "link-page"}>
      {!inside && (
        <header>
          <Mark />
          <p class="brand-name">EduConnect</p>
        </header>
      )}
      {!link && <Forgot client={client} onCode={setLink} />}
      {link?.what === "password" && <Reset client={client} code={link.code} />}
      {link?.what === "address" && <Verify client={client} code={link.code} />}
      <a class="forgot" href={HOME}>{book.say("home")}</a>
    </div>
  );
}

/** Something asked of the server, once at a time. */
function useAsk() {
  const [state, setState] = useState<"" | "busy" | "done" | { readonly wrong: string }>("");
  const ask = async (act: () => Promise<unknown>) => {
    setState("busy");
    try {
      await act();
      setState("done");
    } catch (error) {
      setState({ wrong: (error as { status?: number }).status === GONE ? book.say("over") : inWords(error) });
    }
  };
  return { state, ask, wrong: typeof state === "object" && <p class="wrong" role="alert" dir="auto">{state.wrong}</p> };
}

function Forgot({ client, onCode }: { client: Client; onCode: (link: { what: What; code: string }) => void }) {
  const [account, setAccount] = useState("");
  const [code, setCode] = useState("");
  const [wrongCode, setWrongCode] = useState(false);
  const { state, ask, wrong } = useAsk();
  const send = (event: Event) => {
    event.preventDefault();
    void ask(() => client.ask("POST", "auth/password/forgot", { account: account.trim() }));
  };
  const take = (event: Event) => {
    event.preventDefault();
    const found = read(code);
    setWrongCode(!found);
    if (found) onCode(found);
  };
  return (
    <>
      <h1>{book.say("forgot.title")}</h1>
      <form onSubmit={send} noValidate>
        <p class="quiet">{book.say("forgot.explain")}</p>
        <Field id="account" label={book.say("forgot.account")} value={account} onText={setAccount} autocomplete="username" autocapitalize="none" spellcheck={false} maxLength={320} dir="auto" />
        {wrong}
        {state === "done" && <p class="note done" role="status">{book.say("forgot.sent")}</p>}
        <button class="main" disabled={state === "busy" || !account.trim()}>{state === "busy" ? book.say("busy") : book.say("forgot.send")}</button>
        <p class="quiet">{book.say("forgot.none")}</p>
      </form>
      <form onSubmit={take} noValidate>
        <Field id="link-code" label={book.say("code.title")} hint={book.say("code.hint")} value={code} onText={setCode} autocomplete="off" autocapitalize="none" spellcheck={false} maxLength={400} dir="ltr" />
        {wrongCode && <p class="wrong" role="alert">{book.say("code.wrong")}</p>}
        <button disabled={!code.trim()}>{book.say("code.go")}</button>
      </form>
    </>
  );
}

function Reset({ client, code }: { client: Client; code: string }) {
  const [password, setPassword] = useState("");
  const [shown, setShown] = useState(false);
  const { state, ask, wrong } = useAsk();
  const set = (event: Event) => {
    event.preventDefault();
    void ask(() => client.ask("POST", "auth/password/reset", { code, password }));
  };
  if (state === "done") return <p class="note done" role="status">{book.say("reset.done")}</p>;
  return (
    <>
      <h1>{book.say("reset.title")}</h1>
      <form onSubmit={set} noValidate>
        <p class="quiet">{book.say("reset.explain")}</p>
        <div class="password">
          <Field id="new-password" label={book.say("reset.password")} hint={book.say("reset.hint")} type={shown ? "text" : "password"} value={password} onText={setPassword} autocomplete="new-password" autocapitalize="none" spellcheck={false} />
          <button type="button" class="plain" aria-pressed={shown} onClick={() => setShown(!shown)}>
            {shown ? say("door.hide") : say("door.show")}
          </button>
        </div>
        {wrong}
        <button class="main" disabled={state === "busy" || !password}>{state === "busy" ? book.say("busy") : book.say("reset.go")}</button>
      </form>
    </>
  );
}

function Verify({ client, code }: { client: Client; code: string }) {
  const { state, ask, wrong } = useAsk();
  return (
    <>
      <h1>{book.say("verify.title")}</h1>
      {state === "done" ? (
        <p class="note done" role="status">{book.say("verify.done")}</p>
      ) : (
        <>
          <p>{book.say("verify.explain")}</p>
          {wrong}
          <button class="main" disabled={state === "busy"} onClick={() => void ask(() => client.ask("POST", "auth/email/verify", { code }))}>
            {state === "busy" ? book.say("busy") : book.say("verify.go")}
          </button>
        </>
      )}
    </>
  );
}
