/** Somebody signs up, founds a community, and talks in its first channel; written without a network, it is sent when there is one. */
import { MemoryDisk, openClient, Refused, type Live } from "@educonnect/sdk";
import { StreamKind } from "@educonnect/sdk/protocol";

/** Waits for a value that is as wanted. */
export function until<T>(live: Live<T>, wanted: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    const off = live.subscribe((value) => {
      if (!wanted(value)) return;
      // `subscribe` calls back before it has answered `off`.
      queueMicrotask(() => off());
      resolve(value);
    });
  });
}

/** What stands in the channel in the end, oldest first. */
export async function chat(url: string, name: string, password: string): Promise<string[]> {
  // A page leaves `disk` out and has IndexedDB.
  const client = await openClient({ url, disk: async () => new MemoryDisk() });
  try {
    await client.signUp(name, password);
    const community = await client.submit({ type: "CreateCommunity", name: "Readers of the river" });
    const { spaces } = await until(client.places, (places) => places.spaces.some((one) => one.space === community));
    const channel = spaces.find((one) => one.space === community)?.streams.find((one) => one.kind === StreamKind.CHANNEL);
    if (!channel) throw new Error("a community begins with a channel");

    const talk = client.follow(channel.stream);
    const seq = await client.say(channel.stream, "good mornign");
    await client.edit(channel.stream, seq, "good morning");
    await client.say(channel.stream, "who has read it?", { replyTo: seq });
    const { messages } = await until(talk, (one) => one.messages.filter(({ state }) => state === "sent").length === 2);
    talk.close();

    // What will never take effect is told by a code.
    await client.edit(channel.stream, 1_000_000, "nothing").catch((error: unknown) => {
      if (!(error instanceof Refused)) throw error;
    });
    return messages.map(({ text }) => text);
  } finally {
    await client.close();
  }
}
