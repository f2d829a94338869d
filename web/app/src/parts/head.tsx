/** The line over a page: the way back (on a phone), what it is, and what belongs to it. */
import type { ComponentChildren } from "preact";
import { HOME } from "../place";
import { say } from "../words";
import { Icon } from "./icon";

interface Given {
  readonly title: string;
  readonly under?: ComponentChildren;
  /** Where back leads; home, which a wide screen has beside the page, unless said otherwise. */
  readonly back?: string;
  readonly children?: ComponentChildren;
}

export function Head({ title, under, back = HOME, children }: Given) {
  return (
    <header class="head">
      <a class={back === HOME ? "icon back" : "icon back deep"} href={back} aria-label={say("app.back")}>
        <Icon name="back" />
      </a>
      <div class="names">
        <h1 dir="auto">{title}</h1>
        {under && <p class="quiet" dir="auto">{under}</p>}
      </div>
      {children}
    </header>
  );
}
