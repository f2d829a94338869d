/** A disk of one's own: three calls over rows of bytes. This one has anything that keeps texts by name, such as React Native's AsyncStorage. */
import type { Disk } from "@educonnect/sdk";

export interface Texts {
  /** Every name with its text. */
  all(): Promise<ReadonlyMap<string, string>>;
  /** Writes texts and (null) takes them away, all or none. */
  change(texts: ReadonlyMap<string, string | null>): Promise<void>;
}

export class TextDisk implements Disk {
  constructor(private readonly texts: Texts) {}

  async load(): Promise<ReadonlyMap<string, Uint8Array>> {
    const texts = await this.texts.all();
    return new Map([...texts].map(([name, text]) => [name, Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]));
  }

  async write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    await this.texts.change(new Map([...rows].map(([name, row]) => [name, row && btoa(String.fromCharCode(...row))])));
  }

  close(): void {}
}
