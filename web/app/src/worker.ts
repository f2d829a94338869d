/**
 * The service worker: the shell from the cache, everything else from the network.
 *
 *     install ─▶ every file of this build into a cache of its own ─▶ used from the next start on (text first: what the first look needs)
 *     a page, a file of the shell ─▶ cache, then network          /api, /socket, /media: not touched
 *     sync: what is unsent leaves though no page is open ─▶ worker_background.ts, which runs only then
 *
 * Invariant: a page and the files that it names are of one build, so an update is never half there.
 */
import { answerSyncs } from "../../sdk/src/background_events";
import type { Background } from "./worker_background";
import { answerPushes } from "./worker_push";

declare const VERSION: string;
declare const SHELL: readonly string[];
/** Of the shell, what is needed only when a page is opened. Whoever has text first gets it then. */
declare const LATER: readonly string[];
/** What the kept page names besides: it is all on this device, and nothing has to wait for it. */
declare const AHEAD: string;
/** What sends in the background. */
declare const BACKGROUND: string;

const worker = self as unknown as ServiceWorkerGlobalScope;
const CACHE = `educonnect-${VERSION}`;
const isSparing = new URL(worker.location.href).searchParams.has("text");

worker.addEventListener("install", (event) => {
  // A worker may bring in later only what it brought in now: the browser keeps it beside the worker.
  event.waitUntil(background());
  event.waitUntil(fill(SHELL.filter((one) => !isSparing || !LATER.includes(one))));
});

worker.addEventListener("activate", (event) => {
  const old = (names: string[]) => names.filter((name) => name.startsWith("educonnect-") && name !== CACHE);
  const clear = caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name))));
  event.waitUntil(clear.then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== worker.location.origin) return;
  if (request.mode === "navigate" ? pathname === "/" : SHELL.includes(pathname)) event.respondWith(kept(pathname, request, LATER.includes(pathname)));
  else if (pathname.startsWith("/app/")) event.respondWith(kept(pathname, request, true));
});

answerPushes(worker);
answerSyncs(worker, async () => (await background()).sendUnsent());

/** The script for it, run when it is needed. */
async function background(): Promise<Background> {
  const there = self as unknown as { background?: Background };
  if (!there.background) importScripts(BACKGROUND);
  return there.background!;
}

/** A browser has six connections to a server: half of them are left to whoever is using the app meanwhile. */
const AT_ONCE = 3;

async function fill(paths: readonly string[]): Promise<void> {
  const cache = await caches.open(CACHE);
  const left = [...paths];
  const one = async () => {
    for (let path = left.shift(); path; path = left.shift()) {
      if (path === "/") await keepPage(cache);
      // What an install that was cut off has brought is here.
      else if (!path.startsWith("/app/") || !(await cache.match(path))) await cache.add(path);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

/** A page from the network shows the door before it asks for more; a kept one has all at once. */
async function keepPage(cache: Cache): Promise<void> {
  const answer = await fetch("/");
  if (!answer.ok) throw new TypeError("no page");
  const headers = new Headers(answer.headers);
  for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name);
  await cache.put("/", new Response((await answer.text()).replace("</head>", `${AHEAD}</head>`), { headers }));
}

async function kept(path: string, request: Request, keep = false): Promise<Response> {
  const cache = await caches.open(CACHE);
  const found = await cache.match(path);
  if (found) return found;
  const answer = await fetch(request);
  if (keep && answer.ok) await cache.put(path, answer.clone());
  return answer;
}
