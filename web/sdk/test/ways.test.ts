import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { HttpLink } from "../src/http_link";
import type { Link } from "../src/socket";
import { Ways } from "../src/ways";

const MINUTE = 60_000;

/** A socket as a browser has it, which opens, or brings something, when the test says so. */
class FakeSocket extends EventTarget {
  binaryType = "arraybuffer";
  bufferedAmount = 0;
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  isClosed = false;
  send(): void {}
  close(): void {
    this.isClosed = true;
  }
  fail(): void {
    this.dispatchEvent(new Event("close"));
    this.onclose?.({ code: 1006, reason: "" });
  }
  bring(): void {
    this.dispatchEvent(new Event("message"));
  }
}

function world() {
  const sockets: FakeSocket[] = [];
  // A server of ours that is alive, and whose link answers its first message with a name, a key and one message.
  const first = new TextEncoder().encode("oname key");
  const body = Uint8Array.from([0, first.length, ...first, 1, 1, 42]);
  const fetcher = (async (target: string, init: RequestInit) => {
    if (String(target).endsWith("/health")) return Response.json({ status: "alive" });
    if (init.method === "POST") return new Response(body);
    return new Promise<Response>((_, lost) => init.signal?.addEventListener("abort", () => lost(new Error("aborted"))));
  }) as typeof fetch;
  const ways = new Ways("http://learn.example", () => {
    sockets.push(new FakeSocket());
    return sockets.at(-1) as unknown as Link;
  }, fetcher);
  return { ways, sockets };
}

/** Over HTTP, with its first message heard. */
async function overHttp(ways: Ways, sockets: FakeSocket[]): Promise<{ link: Link; ended: string[] }> {
  for (let n = 0; n < 2; n++) {
    ways.open();
    sockets.at(-1)!.fail();
  }
  await ways.coming;
  const link = ways.open();
  assert.ok(link instanceof HttpLink);
  const ended: string[] = [];
  link.onclose = ({ reason }) => ended.push(reason);
  await new Promise<void>((heard) => {
    link.onmessage = () => heard();
    link.onopen = () => link.send(Uint8Array.of(1));
  });
  return { link, ended };
}

test("one socket that brings nothing is bad luck, two in a row are a way that is blocked", async () => {
  const { ways, sockets } = world();
  ways.open();
  sockets[0]!.fail();
  const second = ways.open();
  assert.ok(!(second instanceof HttpLink));
  sockets[1]!.bring();
  sockets[1]!.fail();
  assert.ok(!(ways.open() instanceof HttpLink), "a socket that brought something was none that is blocked");
  sockets[2]!.fail();
  ways.open();
  sockets[3]!.fail();
  assert.ok(!(ways.open() instanceof HttpLink), "until the other way has come, a socket is tried again");
  await ways.coming;
  const link = ways.open();
  assert.ok(link instanceof HttpLink);
  link.close();
});

test("beside HTTP a socket is tried every minute, and one that opens takes its place", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { ways, sockets } = world();
    const { ended } = await overHttp(ways, sockets);
    const before = sockets.length;
    mock.timers.tick(MINUTE - 1);
    assert.equal(sockets.length, before);
    mock.timers.tick(1);
    assert.equal(sockets.length, before + 1);
    sockets.at(-1)!.fail();
    assert.deepEqual(ended, [], "what is tried beside a link that works does not touch it");
    mock.timers.tick(MINUTE);
    assert.equal(sockets.length, before + 2);
    sockets.at(-1)!.onopen?.({});
    assert.deepEqual(ended, ["sockets work again"]);
    assert.ok(sockets.at(-1)!.isClosed, "the session opens its own");
    assert.ok(!(ways.open() instanceof HttpLink));
  } finally {
    mock.timers.reset();
  }
});

test("a socket that opens and brings nothing leads back at once, and is tried more rarely", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { ways, sockets } = world();
    await overHttp(ways, sockets);
    mock.timers.tick(MINUTE);
    sockets.at(-1)!.onopen?.({});
    ways.open();
    sockets.at(-1)!.fail();
    const back = ways.open();
    assert.ok(back instanceof HttpLink);
    const before = sockets.length;
    mock.timers.tick(MINUTE);
    assert.equal(sockets.length, before);
    mock.timers.tick(MINUTE);
    assert.equal(sockets.length, before + 1);
    back.close();
  } finally {
    mock.timers.reset();
  }
});

test("where nobody answers over HTTP either, sockets are asked first when somebody is there again", async () => {
  const { sockets } = world();
  const nobody = new Ways("http://learn.example", () => {
    sockets.push(new FakeSocket());
    return sockets.at(-1) as unknown as Link;
  }, (async () => Promise.reject(new TypeError("no network"))) as typeof fetch);
  for (let n = 0; n < 2; n++) {
    nobody.open();
    sockets.at(-1)!.fail();
  }
  await nobody.coming;
  const link = nobody.open();
  assert.ok(link instanceof HttpLink);
  await new Promise<void>((over) => (link.onclose = () => over()));
  link.close();
  assert.ok(!(nobody.open() instanceof HttpLink));
});
