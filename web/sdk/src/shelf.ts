/** Bytes of files that wait to be sent, by name: apart from the store, which is read whole at the start. */
import { DiskFull } from "./errors";

const TABLE = "files";

export interface Shelf {
  /** Rejected with `DiskFull` where there is no room. */
  put(name: string, bytes: Blob): Promise<void>;
  get(name: string): Promise<Blob | null>;
  drop(names: readonly string[]): Promise<void>;
  /** Everything else goes. */
  keepOnly(names: readonly string[]): Promise<void>;
}

/** In the database `name`; where there is none, or no name, in memory. */
export async function openShelf(name: string): Promise<Shelf> {
  if (!name || typeof indexedDB === "undefined") return new MemoryShelf();
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
  const database = await answered(request);
  database.onversionchange = () => database.close();
  return new IdbShelf(database);
}

function answered<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error?.name === "QuotaExceededError" ? new DiskFull(request.error.message) : request.error);
  });
}

class IdbShelf implements Shelf {
  constructor(private readonly database: IDBDatabase) {}

  private table(mode: IDBTransactionMode = "readonly"): IDBObjectStore {
    return this.database.transaction(TABLE, mode).objectStore(TABLE);
  }

  private async change(act: (table: IDBObjectStore) => void): Promise<void> {
    const table = this.table("readwrite");
    act(table);
    await new Promise<void>((resolve, reject) => {
      table.transaction.oncomplete = () => resolve();
      table.transaction.onabort = () => {
        const { error } = table.transaction;
        reject(error?.name === "QuotaExceededError" ? new DiskFull(error.message) : error);
      };
    });
  }

  async put(name: string, bytes: Blob): Promise<void> {
    // The browser gives up what is kept without asking, unless it was asked not to.
    await navigator.storage?.persist?.().catch(() => false);
    await this.change((table) => table.put(bytes, name));
  }

  async get(name: string): Promise<Blob | null> {
    return ((await answered(this.table().get(name))) as Blob | undefined) ?? null;
  }

  async drop(names: readonly string[]): Promise<void> {
    await this.change((table) => names.forEach((name) => table.delete(name)));
  }

  async keepOnly(names: readonly string[]): Promise<void> {
    const all = await answered(this.table().getAllKeys());
    await this.drop(all.map(String).filter((name) => !names.includes(name)));
  }
}

class MemoryShelf implements Shelf {
  private readonly files = new Map<string, Blob>();

  async put(name: string, bytes: Blob): Promise<void> {
    this.files.set(name, bytes);
  }

  async get(name: string): Promise<Blob | null> {
    return this.files.get(name) ?? null;
  }

  async drop(names: readonly string[]): Promise<void> {
    for (const name of names) this.files.delete(name);
  }

  async keepOnly(names: readonly string[]): Promise<void> {
    for (const name of this.files.keys()) if (!names.includes(name)) this.files.delete(name);
  }
}
