/** The way to the notices, with how many are unread; the title of the page says it, too. */
import { useEffect } from "preact/hooks";
import type { Client } from "../../../sdk/src/api";
import { useLive } from "../live";
import { recall } from "../kept";
import { isUnread, marks } from "../notices";
import { place, toPage } from "../place";
import { count, say } from "../words";
import { Icon } from "./icon";

const SHOWN_MAX = 99;

export function Bell({ client }: { client: Client }) {
  const notices = useLive(client.notices);
  useLive(marks);
  const { page } = useLive(place);
  const unread = notices.filter((one) => isUnread(one, client)).length;
  useEffect(() => {
    document.title = unread ? `(${unread}) EduConnect` : "EduConnect";
    return () => void (document.title = "EduConnect");
  }, [unread]);
  useEffect(() => {
    // Another subscription than the server knows, or another person: where there is one at all.
    const renew = () => void (recall("push") && import("../pages/notices/push").then(({ renewPush }) => renewPush(client)).catch(() => undefined));
    renew();
    navigator.serviceWorker?.addEventListener("message", renew);
    return () => navigator.serviceWorker?.removeEventListener("message", renew);
  }, [client]);
  return (
    <a class="icon bell" href={toPage("notices")} title={say("notices.title")} aria-current={page === "notices" ? "page" : undefined}>
      <Icon name="bell" />
      <span class="heard">{say("notices.title")}</span>
      {unread > 0 && (
        <span class="badge">
          <span aria-hidden="true">{unread > SHOWN_MAX ? `${SHOWN_MAX}+` : unread}</span>
          <span class="heard">{count("notices.unread", unread)}</span>
        </span>
      )}
    </a>
  );
}
