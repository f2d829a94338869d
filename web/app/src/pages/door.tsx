/** Sign up, log in, and the second step. It stands before the SDK has come; what is pressed meanwhile waits for it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Challenge, Client, Me } from "../../../sdk/src/api";
import { useLive } from "../live";
import { chooseText, textFirst } from "../look";
import { session } from "../opening";
import { Field } from "../parts/field";
import { Mark } from "../parts/mark";
import { PasskeyButton } from "../parts/passkeys";
import { inWords } from "../trouble";
import { language, LANGUAGES, say, speak, type Language } from "../words";

/** Whom the server would refuse anyway is told at once: two to forty letters and digits, with dots, lines and hyphens between. */
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}_.-]{0,38}[\p{L}\p{N}\p{M}]$/u;
const PASSWORD_MIN = 8;

type Way = "logIn" | "signUp";

/** The client, as soon as there is one. */
function arrived(): Promise<Client> {
  return new Promise((resolve, reject) => {
    const off = session.subscribe((client) => {
      if (client === null) return;
      queueMicrotask(() => off());
      if (client instanceof Error) reject(client);
      else resolve(client);
    });
  });
}

export function Door() {
  const [way, setWay] = useState<Way>("logIn");
  const [challenge, setChallenge] = useState<Challenge | null>(null);
  return (
    <main class="door">
      <header>
        <Mark />
        <h1>EduConnect</h1>
        <p class="quiet">{say("door.promise")}</p>
      </header>
      {challenge ? (
        <Proof challenge={challenge} onBack={() => setChallenge(null)} />
      ) : (
        <>
          <div class="tabs" role="tablist">
            {(["logIn", "signUp"] as const).map((one) => (
              <button key={one} role="tab" id={`tab-${one}`} aria-controls="entry" aria-selected={one === way} onClick={() => setWay(one)}>
                {say(`door.${one}`)}
              </button>
            ))}
          </div>
          <div id="entry" role="tabpanel" aria-labelledby={`tab-${way}`}>
            <Entry key={way} way={way} onChallenge={setChallenge} />
          </div>
        </>
      )}
      <Languages />
      <TextFirst />
    </main>
  );
}

function Entry({ way, onChallenge }: { way: Way; onChallenge: (challenge: Challenge) => void }) {
  const [name, setName] = useState("");
  const [display, setDisplay] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const isNew = way === "signUp";

  const enter = async (event: Event) => {
    event.preventDefault();
    if (!name.trim() || !password) return setWrong(say("door.both"));
    if (isNew && !NAME.test(name.trim().normalize("NFC"))) return setWrong(say("error.name"));
    if (isNew && [...password].length < PASSWORD_MIN) return setWrong(say("error.passwordLength"));
    setBusy(true);
    setWrong("");
    try {
      const client = await arrived();
      const found: Me | Challenge = isNew ? await client.signUp(name.trim(), password, display.trim()) : await client.logIn(name.trim(), password);
      if ("challenge" in found) onChallenge(found);
    } catch (error) {
      const { status } = error as { status?: number };
      setWrong(status === 401 ? say("door.wrong") : status === 409 && isNew ? say("door.taken") : inWords(error));
      setBusy(false);
    }
  };

  return (
    <form onSubmit={(event) => void enter(event)} noValidate>
      <Field id="name" label={say("door.name")} hint={isNew ? say("door.nameHint") : ""} value={name} onText={setName} autocomplete="username" autocapitalize="none" spellcheck={false} maxLength={40} dir="auto" />
      {isNew && <Field id="display" label={say("door.display")} hint={say("door.displayHint")} value={display} onText={setDisplay} autocomplete="name" maxLength={80} dir="auto" />}
      <Password value={password} onText={setPassword} isNew={isNew} />
      {wrong && <p class="wrong" role="alert" dir="auto">{wrong}</p>}
      <button class="main" disabled={busy}>
        {busy ? say("door.busy") : say(`door.${way}`)}
      </button>
      {!isNew && <PasskeyButton arrived={arrived} />}
      {!isNew && <a class="forgot" href="#/link">{say("door.forgot")}</a>}
    </form>
  );
}

function Password({ value, onText, isNew }: { value: string; onText: (text: string) => void; isNew: boolean }) {
  const [shown, setShown] = useState(false);
  return (
    <div class="password">
      <Field id="password" label={say("door.password")} hint={isNew ? say("door.passwordHint") : ""} type={shown ? "text" : "password"} value={value} onText={onText} autocomplete={isNew ? "new-password" : "current-password"} autocapitalize="none" spellcheck={false} />
      <button type="button" class="plain" aria-pressed={shown} onClick={() => setShown(!shown)}>
        {shown ? say("door.hide") : say("door.show")}
      </button>
    </div>
  );
}

function Proof({ challenge, onBack }: { challenge: Challenge; onBack: () => void }) {
  const [code, setCode] = useState("");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const place = useRef<HTMLFormElement>(null);
  useEffect(() => place.current?.querySelector("input")?.focus(), []);
  const prove = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await (await arrived()).prove(challenge.challenge, code.trim());
    } catch (error) {
      setWrong((error as { status?: number }).status === 401 ? say("door.wrongCode") : inWords(error));
      setBusy(false);
    }
  };
  return (
    <form ref={place} onSubmit={(event) => void prove(event)} noValidate>
      <Field id="code" label={say("door.code")} hint={say("door.codeHint")} value={code} onText={setCode} autocomplete="one-time-code" autocapitalize="none" spellcheck={false} maxLength={40} />
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      <button class="main" disabled={busy || !code.trim()}>{say("door.prove")}</button>
      {challenge.passkey !== undefined && <PasskeyButton arrived={arrived} step={challenge} />}
      <button type="button" class="plain" onClick={onBack}>{say("app.back")}</button>
    </form>
  );
}

/** For whoever finds the link too weak for more, before anything else has come. */
function TextFirst() {
  const text = useLive(textFirst);
  return (
    <p class="languages">
      <button class="plain" aria-pressed={text} onClick={() => chooseText(!text)}>
        {say("door.text")}
      </button>
    </p>
  );
}

export function Languages() {
  return (
    <p class="languages">
      {(Object.keys(LANGUAGES) as Language[]).map((one) => (
        <button key={one} class="plain" lang={one} aria-pressed={one === language.value} onClick={() => void speak(one, true)}>
          {LANGUAGES[one]}
        </button>
      ))}
    </p>
  );
}
