/** Language, look, and the account of this device. */
import { useState } from "preact/hooks";
import type { Client } from "../../../sdk/src/api";
import { chooseKeys, keysOn } from "../keys";
import { useLive } from "../live";
import { applyLook, chooseText, look, LOOKS, textFirst } from "../look";
import { tellLanguage } from "../own";
import { Avatar } from "../parts/avatar";
import { Choices } from "../parts/choices";
import { Head } from "../parts/head";
import { Icon } from "../parts/icon";
import { leave } from "../session";
import { inWords } from "../trouble";
import { count, language, LANGUAGES, say, speak, type Language } from "../words";

const AMOUNTS = ["everything", "textFirst"] as const;

export function Settings({ client }: { client: Client }) {
  const me = useLive(client.me);
  const chosen = useLive(look);
  const text = useLive(textFirst);
  const keys = useLive(keysOn);
  const { pending } = useLive(client.status);
  const [wrong, setWrong] = useState("");
  const [sure, setSure] = useState(false);
  const out = () => {
    // What is not sent goes with the rest: that is said first.
    if (pending && !sure) return setSure(true);
    leave(client).catch((error: unknown) => setWrong(inWords(error)));
  };
  if (!me) return null;
  const choose = (one: Language) => {
    void speak(one, true);
    // Mails and pushes are in it, too; kept and sent like whatever else is written.
    tellLanguage(client, one).catch(() => undefined);
  };
  const languages = (Object.keys(LANGUAGES) as Language[]).map((one) => [one, LANGUAGES[one]] as const);
  return (
    <>
      <Head title={say("settings.title")} />
      <section class="card person">
        <Avatar user={me.user} name={me.displayName || me.name} />
        <div>
          <strong dir="auto">{me.displayName || me.name}</strong>
          <p class="quiet"><bdi>@{me.name}</bdi></p>
        </div>
      </section>
      <nav class="card" aria-label={say("settings.title")}>
        <ul class="rows">
          <li>
            <a class="row" href="#/account">
              <Icon name="lock" />
              <span>{say("account.title")}</span>
            </a>
          </li>
          <li>
            <a class="row" href="#/notices/0/settings">
              <Icon name="bell" />
              <span>{say("notices.title")}</span>
            </a>
          </li>
        </ul>
      </nav>
      <section class="card">
        <Choices name="language" legend={say("settings.language")} options={languages} chosen={language.value} onChoose={choose} />
        <Choices name="look" legend={say("settings.look")} options={LOOKS.map((one) => [one, say(`settings.${one}`)] as const)} chosen={chosen} onChoose={applyLook} />
        <Choices name="amount" legend={say("settings.amount")} options={AMOUNTS.map((one) => [one, say(`settings.${one}`)] as const)} chosen={text ? "textFirst" : "everything"} onChoose={(one) => chooseText(one === "textFirst")} />
        <p class="quiet">{say("settings.amountExplain")}</p>
        <label class="check">
          <input type="checkbox" checked={keys} aria-describedby="keys-explain" onChange={(event) => chooseKeys(event.currentTarget.checked)} />
          <span>{say("settings.keys")}</span>
        </label>
        <p id="keys-explain" class="quiet">{say("settings.keysExplain")}</p>
      </section>
      <section class="card">
        <h2>{say("settings.leaveTitle")}</h2>
        <p class="quiet">{say("settings.leaveExplain")}</p>
        {sure && <p class="wrong" role="alert">{count("settings.leaveUnsent", pending)}</p>}
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <button onClick={out}>{sure ? say("settings.leaveAnyway") : say("settings.leave")}</button>
      </section>
    </>
  );
}
