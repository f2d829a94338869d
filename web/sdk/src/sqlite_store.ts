/**
 * The disk of a phone: one table of SQLite, by whichever library of React Native opens it.
 *
 *     const db = await openDatabaseAsync("educonnect.db");                    expo-sqlite
 *     const disk = () => SqliteDisk.open({
 *       read: (sql) => db.getAllAsync(sql),
 *       write: (statements) => db.withExclusiveTransactionAsync(async (inside) => {
 *         for (const [sql, ...values] of statements) await inside.runAsync(sql, values);
 *       }),
 *       close: () => void db.closeAsync(),
 *     });
 *     const client = await openClient({ url, disk });
 */
import { DiskFull } from "./errors";
import type { Disk } from "./store";

/** What is needed of a library. */
export interface SqliteDatabase {
  /** The rows of a query without holes, as objects by column. */
  read(sql: string): Promise<readonly object[]>;
  /** Runs all of them in one transaction, or none; in the order of the calls. Each is its SQL and what fills its `?`. */
  write(statements: readonly (readonly [sql: string, ...values: (string | Uint8Array)[]])[]): Promise<void>;
  close(): void;
}

interface Row {
  readonly name: string;
  readonly body: Uint8Array | ArrayBuffer;
}

/** SQLite's own words for it, which every library passes on. A transaction that fills the disk ends by itself, and a library that then ends it
 *  once more passes on the words for that instead. */
const FULL = /database or disk is full|SQLITE_FULL|cannot rollback - no transaction is active/i;

export class SqliteDisk implements Disk {
  private constructor(private readonly database: SqliteDatabase) {}

  /** Makes its table where there is none yet. */
  static async open(database: SqliteDatabase): Promise<SqliteDisk> {
    await database.write([["create table if not exists educonnect_rows (name text primary key, body blob not null) without rowid"]]);
    return new SqliteDisk(database);
  }

  async load(): Promise<ReadonlyMap<string, Uint8Array>> {
    const rows = (await this.database.read("select name, body from educonnect_rows")) as readonly Row[];
    return new Map(rows.map(({ name, body }) => [name, body instanceof Uint8Array ? body : new Uint8Array(body)]));
  }

  async write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    const statements = [...rows].map(([name, row]) =>
      row
        ? (["insert into educonnect_rows values (?, ?) on conflict (name) do update set body = excluded.body", name, row] as const)
        : (["delete from educonnect_rows where name = ?", name] as const),
    );
    try {
      await this.database.write(statements);
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw FULL.test(words) ? new DiskFull(words) : error;
    }
  }

  close(): void {
    this.database.close();
  }
}
