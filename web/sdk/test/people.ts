/** People at a real server: each with a client of their own, whose sockets a test can cut. */
import assert from "node:assert/strict";
import { MemoryDisk, openClient, type Client, type Link, type Live } from "../src/index";

export const URL_OF_SERVER = process.env.EDUCONNECT_URL ?? "";
const WAIT_MS = 15_000;
let count = 0;

/** Waits until a live value is as wanted. */
export function until<T>(live: Live<T>, wanted: (value: T) => boolean, what: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${what}: still ${String(JSON.stringify(live.value)).slice(0, 600)}`)), WAIT_MS);
    const off = live.subscribe((value) => {
      if (!wanted(value)) return;
      clearTimeout(late);
      queueMicrotask(() => off());
      resolve(value);
    });
  });
}

/** Somebody with a device. `cut` ends the socket as a lost network does; `offline` keeps it so; `blocked`: HTTP goes through, sockets do not. */
export class Person {
  readonly disk = new MemoryDisk();
  readonly name = `web${process.pid}x${++count}`;
  client!: Client;
  offline = false;
  blocked = false;
  requests = 0;
  private links: WebSocket[] = [];

  async start(): Promise<void> {
    const disk = async () => this.disk;
    this.client = await openClient({ url: URL_OF_SERVER, shared: false, disk, socket: (url) => this.open(url), fetch: (...given) => this.fetch(...given), deviceName: "test" });
  }

  private fetch(...given: Parameters<typeof fetch>): Promise<Response> {
    this.requests++;
    // A link over HTTP would outlive `cut`: there is one only for whom sockets are blocked.
    const isLink = !this.blocked && String(given[0]).includes("/api/v1/link");
    return this.offline || isLink ? Promise.reject(new TypeError("offline")) : fetch(...given);
  }

  private open(url: string): Link {
    const link = new WebSocket(`${(this.offline || this.blocked ? "http://127.0.0.1:1" : url).replace("http", "ws")}/socket`);
    this.links.push(link);
    return link as unknown as Link;
  }

  cut(): void {
    for (const link of this.links) link.close();
    this.links = [];
  }

  async restart(): Promise<void> {
    await this.client.close();
    await this.start();
  }

  static async signUp(blocked = false): Promise<Person> {
    const person = new Person();
    person.blocked = blocked;
    await person.start();
    const me = await person.client.signUp(person.name, "a long enough word");
    assert.ok(me.user > 0);
    await until(person.client.status, ({ state }) => state === "online", "online");
    return person;
  }
}
