declare module "sql.js" {
  interface Result {
    readonly columns: readonly string[];
    readonly values: readonly unknown[][];
  }
  class Database {
    run(sql: string, values?: readonly unknown[]): void;
    exec(sql: string): readonly Result[];
  }
  export default function initSqlJs(): Promise<{ readonly Database: typeof Database }>;
}
