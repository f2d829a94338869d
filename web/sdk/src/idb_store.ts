/** The disk of a browser: one IndexedDB database with one table of rows by name. */
import { DiskFull } from "./errors";
import type { Disk } from "./store";

const TABLE = "rows";

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class IdbDisk implements Disk {
  private constructor(private readonly database: IDBDatabase) {}

  /** Opens the database `name`. Rejected where the browser has none, as in some private windows. */
  static async open(name: string): Promise<IdbDisk> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    const database = await answered(request);
    // Whoever deletes it, or brings a newer version, is not kept waiting.
    database.onversionchange = () => database.close();
    return new IdbDisk(database);
  }

  async load(): Promise<ReadonlyMap<string, Uint8Array>> {
    const table = this.database.transaction(TABLE).objectStore(TABLE);
    const [names, rows] = await Promise.all([answered(table.getAllKeys()), answered(table.getAll())]);
    return new Map(names.map((name, place) => [String(name), rows[place] as Uint8Array]));
  }

  async write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    const transaction = this.database.transaction(TABLE, "readwrite", { durability: "strict" });
    const table = transaction.objectStore(TABLE);
    for (const [name, row] of rows) {
      if (row) table.put(row, name);
      else table.delete(name);
    }
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => {
        const { error } = transaction;
        reject(error?.name === "QuotaExceededError" ? new DiskFull(error.message) : error);
      };
    });
  }

  close(): void {
    this.database.close();
  }
}
