/**
 * EduConnect for browsers and React Native.
 *
 *     const client = await openClient({ url: "https://learn.example" });
 *     await client.logIn("amina", "…");
 *     const talk = client.follow(stream);
 *     talk.subscribe(({ messages }) => show(messages));
 *     void client.say(stream, "good morning");
 */
import { Client } from "./client";
import type { Core } from "./core";
import type { World } from "./exchange";
import { IdbDisk } from "./idb_store";
import { MemoryDisk } from "./memory_store";
import { LinkQuality } from "./protocol";
import type { Link } from "./socket";
import type { Disk } from "./store";

export type { Attempt, Challenge, Conversation, Decision, Failure, Hub, Kept, Live, LiveStream, Me, MentorWish, Message, NewFile, NoticeView, Open, Places, RecordView, SayOptions, SpaceView, Status, StreamView, WaitingFile, Unsent } from "./api";
export type { Client } from "./client";
export { AccountError, BadFields, BadFrame, DiskFull, QueueFull, Refused, RequestFailed, Unreachable } from "./errors";
export { MemoryDisk } from "./memory_store";
export type { Link } from "./socket";
export type { Disk } from "./store";

export interface ClientOptions {
  /** Of the server, as people know it. In a page: the page's own, unless said otherwise. */
  readonly url?: string;
  /** Names what is kept, and which tabs belong together. */
  readonly name?: string;
  /** Where it is kept: IndexedDB unless said otherwise; React Native gives its SQLite here. */
  readonly disk?: () => Promise<Disk>;
  readonly deviceName?: string;
  /** Bytes that records may take; 0: as many as fit. */
  readonly quotaBytes?: number;
  /** Whether several tabs share one socket (where there are locks and channels); false: this one stands alone. */
  readonly shared?: boolean;
  /** Instead of the platform's. */
  readonly socket?: (url: string) => Link;
  readonly fetch?: typeof fetch;
}

const SERVE_RETRY_MS = 3_000;

const WORLD: World = {
  wall: () => Date.now(),
  spread: () => Math.random(),
  later: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

function openSocket(url: string): Link {
  return new WebSocket(`${url.replace(/^http/, "ws")}/socket`) as unknown as Link;
}

/** What the browser says of its network; most say nothing. */
function linkQuality(): LinkQuality {
  const type = (globalThis.navigator as { connection?: { effectiveType?: string } } | undefined)?.connection?.effectiveType ?? "";
  return type.endsWith("2g") ? LinkQuality.TWO_G : type === "3g" ? LinkQuality.FAIR : LinkQuality.UNKNOWN;
}

/** The lock that says which tab has the socket, where no other tab has it: what gives it back. */
function takeLock(name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const held = (lock: Lock | null) => (lock ? new Promise<void>((release) => resolve(release)) : resolve(undefined));
    navigator.locks.request(`educonnect/${name}/socket`, { ifAvailable: true }, held).catch(reject);
  });
}

/** The first tab answers those that come later, from a moment on that it need not wait for. */
function serve(name: string, core: Core, over: AbortSignal): void {
  const retry = () => void (over.aborted || setTimeout(() => serve(name, core, over), SERVE_RETRY_MS));
  import("./tabs").then(({ Serving }) => over.aborted || new Serving(name, crypto.randomUUID(), core, over), retry);
}

/** Opens what is kept on this device, and goes on from there: at once, also without a network. */
export async function openClient(options: ClientOptions = {}): Promise<Client> {
  const { url = globalThis.location?.origin ?? "", name = "educonnect", deviceName = "browser", quotaBytes = 0 } = options;
  const makeDisk = options.disk ?? (() => (typeof indexedDB === "undefined" ? Promise.resolve(new MemoryDisk()) : IdbDisk.open(name)));
  // Whoever only looks on from a second tab does not load what the first one runs.
  const openCore = async () => {
    const { Core, Ways } = await import("./core");
    const fetcher: typeof fetch = options.fetch ?? ((...given) => fetch(...given));
    const ways = new Ways(url.replace(/\/+$/, ""), options.socket ?? openSocket, fetcher);
    return Core.open({ url, disk: await makeDisk(), world: WORLD, fetcher, socket: () => ways.open(), link: linkQuality, deviceName, quotaBytes, files: options.disk ? "" : `${name}/files` });
  };
  const client = await shareCore(name, options.shared !== false, openCore);
  const page = globalThis as { addEventListener?: typeof addEventListener; document?: Document };
  // The network is back, or somebody is looking.
  page.addEventListener?.("online", () => client.hurry());
  page.document?.addEventListener("visibilitychange", () => page.document?.visibilityState === "visible" && client.hurry());
  return client;
}

async function shareCore(name: string, shared: boolean, openCore: () => Promise<Core>): Promise<Client> {
  if (!shared || !globalThis.navigator?.locks || typeof BroadcastChannel === "undefined") {
    const core = await openCore();
    return new Client(core, () => core.close());
  }
  const release = await takeLock(name);
  if (!release) {
    const { Tabs } = await import("./tabs");
    const tabs = new Tabs(name, openCore);
    await tabs.ready;
    return new Client(tabs, () => tabs.close());
  }
  try {
    const core = await openCore();
    const over = new AbortController();
    serve(name, core, over.signal);
    const end = async () => {
      over.abort();
      await core.close();
      release();
    };
    return new Client(core, end);
  } catch (error) {
    release();
    throw error;
  }
}
