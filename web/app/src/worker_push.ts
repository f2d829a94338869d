/**
 * Pushes, in the service worker: shown as the server wrote them, and leading to what they are about.
 *
 *     push ─▶ a notification, one a conversation          click ─▶ the app at `#/notices/<number>`, which goes on from there
 *
 * The server's line is in the person's language, and has no words of a message unless its owner wants previews.
 *
 * It names no icon: a browser fetches that past this worker and its cache, and shows nothing until it has come; on a weak link that is long.
 *
 * Invariant: every push shows something; a browser takes the right to push away from a page that shows nothing.
 */
const NOTICES = "/#/notices";
/** To open pages: the browser gave another subscription, the server is to hear of it. */
export const RENEW = "push-changed";

/** What is pushed (gateway/push/web_push.py). */
interface Parcel {
  readonly id: string;
  readonly title: string;
  readonly body: string;
  readonly notice: number;
  readonly stream: number;
  readonly count: number;
}

function read(data: PushMessageData | null): Partial<Parcel> {
  try {
    return (data?.json() ?? {}) as Partial<Parcel>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {};
  }
}

export function answerPushes(worker: ServiceWorkerGlobalScope): void {
  worker.addEventListener("push", (event) => {
    const { id = "", title = "EduConnect", body = "", notice = 0, stream = 0, count = 1 } = read(event.data);
    const where = count === 1 && notice ? `${NOTICES}/${notice}` : NOTICES;
    const tag = stream ? `stream-${stream}` : id || "notice";
    const options = { body, tag, renotify: true, dir: "auto" as const, data: { where } };
    event.waitUntil(worker.registration.showNotification(title, options));
  });

  worker.addEventListener("notificationclick", (event) => {
    event.notification.close();
    const { where } = event.notification.data as { where: string };
    event.waitUntil(open(worker, where));
  });

  worker.addEventListener("pushsubscriptionchange", (event) => {
    const { oldSubscription } = event as unknown as { oldSubscription?: PushSubscription };
    const again = async () => {
      if (oldSubscription) await worker.registration.pushManager.subscribe(oldSubscription.options);
      for (const page of await worker.clients.matchAll({ type: "window" })) page.postMessage(RENEW);
    };
    (event as ExtendableEvent).waitUntil(again());
  });
}

/** In a window that is open, or in a new one. */
async function open(worker: ServiceWorkerGlobalScope, where: string): Promise<void> {
  const windows = await worker.clients.matchAll({ type: "window" });
  const page = windows.find((one) => new URL(one.url).pathname === "/");
  if (!page) return void (await worker.clients.openWindow(where));
  await page.navigate(where);
  await page.focus();
}
