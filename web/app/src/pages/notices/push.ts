/**
 * Pushes to this browser: asked for, renewed, and ended with the log-in.
 *
 *     permission ─▶ the browser's subscription (bound to the server's VAPID key) ─▶ POST /push ─▶ kept here: whose, where, its number
 *     the browser changed it (worker.ts) ─▶ at the next look it is told anew            logging out ─▶ unsubscribed here and there
 *
 * Invariant: a subscription that is kept here is the logged-in person's; whoever logs in next is pushed nothing of theirs.
 */
import type { Client } from "../../../../sdk/src/api";
import { keep, recall } from "../../kept";
import { tellLanguage } from "../../own";
import { language } from "../../words";

const NAME = "push";

export type PushState = "none" | "denied" | "off" | "on";

interface Kept {
  readonly user: number;
  readonly endpoint: string;
  readonly id: number;
}

/** What the server answers: which services there are, the key to subscribe with, and which devices are subscribed. */
export interface PushOffer {
  readonly services: readonly string[];
  readonly vapid_key: string;
  readonly subscriptions: readonly { readonly id: number; readonly device: number; readonly at: number }[];
}

/** The server does not push to browsers. */
export class NotOffered extends Error {}

export const works = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

export function keptPush(): Kept | null {
  return JSON.parse(recall(NAME) || "null") as Kept | null;
}

async function subscription(): Promise<PushSubscription | null> {
  const registration = await navigator.serviceWorker.getRegistration();
  return (await registration?.pushManager.getSubscription()) ?? null;
}

/** How it stands on this device. */
export async function pushState(client: Client): Promise<PushState> {
  if (!works) return "none";
  if (Notification.permission === "denied") return "denied";
  const kept = keptPush();
  return kept && kept.user === client.me.value?.user && (await subscription())?.endpoint === kept.endpoint ? "on" : "off";
}

/** Subscribes, after asking the person. Throws `NotOffered`, what the browser says (`DOMException`), or an error of the SDK. */
export async function pushOn(client: Client): Promise<PushState> {
  if (!works) return "none";
  const permission = await Notification.requestPermission();
  if (permission !== "granted") return permission === "denied" ? "denied" : "off";
  const { services, vapid_key: applicationServerKey } = await client.ask<PushOffer>("GET", "push");
  if (!services.includes("web")) throw new NotOffered();
  const { pushManager } = await navigator.serviceWorker.ready;
  const wanted = { userVisibleOnly: true, applicationServerKey };
  const made = await pushManager.subscribe(wanted).catch(async (error: unknown) => {
    // It is bound to a key that the server had before.
    if (!(error instanceof DOMException) || error.name !== "InvalidStateError") throw error;
    await (await pushManager.getSubscription())?.unsubscribe();
    return pushManager.subscribe(wanted);
  });
  const { endpoint = "", keys = {} } = made.toJSON();
  const { p256dh = "", auth = "" } = keys;
  const { id } = await client.ask<{ id: number }>("POST", "push", { service: "web", address: endpoint, p256dh, auth });
  keep(NAME, JSON.stringify({ user: client.me.value?.user ?? 0, endpoint, id } satisfies Kept));
  // Kept and sent by itself: what is pushed is in the language that this person reads here.
  tellLanguage(client, language.value).catch(() => undefined);
  return "on";
}

/** Ends it here, and at the server if it can be told; it finds out by itself, too. */
export async function pushOff(client: Client): Promise<void> {
  const kept = keptPush();
  await pushGone();
  if (kept) await client.ask("DELETE", `push/${kept.id}`);
}

/** Nothing is pushed to this browser any more, and what was shown is gone. */
export async function pushGone(): Promise<void> {
  keep(NAME, "");
  if (!works) return;
  await (await subscription())?.unsubscribe();
  const registration = await navigator.serviceWorker.getRegistration();
  for (const one of (await registration?.getNotifications()) ?? []) one.close();
}

/** Tells the server where this browser is pushed to now, if it does not know. */
export async function renewPush(client: Client): Promise<void> {
  const kept = keptPush();
  if (!works || !kept || Notification.permission !== "granted") return;
  if (kept.user !== client.me.value?.user) return pushGone();
  // Also told anew where the server knows it no more: it goes with a log-in, and this is another one.
  const isKnown = async () => (await client.ask<PushOffer>("GET", "push")).subscriptions.some(({ id }) => id === kept.id);
  if ((await subscription())?.endpoint !== kept.endpoint || !(await isKnown())) await pushOn(client);
}
