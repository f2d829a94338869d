/** A disk that lives as long as its program: for tests, and where there is no storage. A reopened store finds what was written. */
import type { Disk } from "./store";

export class MemoryDisk implements Disk {
  readonly rows = new Map<string, Uint8Array>();

  async load(): Promise<ReadonlyMap<string, Uint8Array>> {
    return new Map(this.rows);
  }

  async write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    for (const [name, row] of rows) {
      if (row) this.rows.set(name, row);
      else this.rows.delete(name);
    }
  }

  close(): void {}
}
