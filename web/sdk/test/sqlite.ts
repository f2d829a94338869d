/** SQLite as a phone's library gives it: the real one, as WebAssembly. */
import initSqlJs from "sql.js";
import type { SqliteDatabase } from "../src/sqlite_store";

export interface PhoneDatabase extends SqliteDatabase {
  /** Its size may not be more, in pages of SQLite. */
  limit(pages: number): void;
}

export async function openPhone(): Promise<PhoneDatabase> {
  const { Database } = await initSqlJs();
  const database = new Database();
  return {
    read: async (sql) => {
      const [found] = database.exec(sql);
      return (found?.values ?? []).map((row) => Object.fromEntries(found!.columns.map((column, place) => [column, row[place]])));
    },
    write: async (statements) => {
      database.run("begin immediate");
      try {
        for (const [sql, ...values] of statements) database.run(sql, values);
        database.run("commit");
      } catch (error) {
        database.run("rollback");
        throw error;
      }
    },
    close: () => undefined,
    limit: (pages) => void database.exec(`pragma max_page_count = ${pages}`),
  };
}
