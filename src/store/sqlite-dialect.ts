import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";

/** Prepared statements kept; the product has a fixed set of queries, far fewer than this. */
const MAX_PREPARED = 256;

/** What the dialect tells its owner, and how it turns a database error into one that may be thrown on. */
export interface SqliteDialectOptions {
  readonly database: DatabaseSync;
  /** Maps what node:sqlite threw; the answer is thrown. Called for each failing statement. */
  readonly mapError: (error: unknown) => unknown;
  /** Called after each commit that changed something. */
  readonly onCommit: () => void;
}

/**
 * Kysely's dialect for node:sqlite: one connection, which Kysely hands out to one user at a time (its SQLite adapter says
 * so), until the transaction ends.
 *
 * So no other caller's statement can slip into a transaction. Every transaction is `BEGIN IMMEDIATE`: it has the write lock from the start and cannot fail half way for want of it.
 */
export function sqliteDialect(options: SqliteDialectOptions): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => createDriver(options),
    createIntrospector: (db: Kysely<unknown>): DatabaseIntrospector => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

function createDriver({ database, mapError, onCommit }: SqliteDialectOptions): Driver {
  const connection = createConnection(database, mapError, onCommit);
  const run = async (sql: string) => void (await connection.executeQuery(CompiledQuery.raw(sql)));
  return {
    async init() {},
    acquireConnection: async () => connection,
    async releaseConnection() {},
    beginTransaction: () => run("begin immediate"),
    async commitTransaction() {
      await run("commit");
      onCommit();
    },
    async rollbackTransaction() {
      // A failed commit may have rolled back already; a second rollback would hide why.
      if (database.isOpen && database.isTransaction) await run("rollback");
    },
    async destroy() {
      if (database.isOpen) database.close();
    },
  };
}

function createConnection(
  database: DatabaseSync,
  mapError: (error: unknown) => unknown,
  onCommit: () => void,
): DatabaseConnection {
  const prepared = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    const known = prepared.get(sql);
    if (known !== undefined) return known;
    if (prepared.size >= MAX_PREPARED) prepared.clear();
    const statement = database.prepare(sql);
    prepared.set(sql, statement);
    return statement;
  };
  const execute = <R>(query: CompiledQuery): QueryResult<R> => {
    try {
      const statement = prepare(query.sql);
      const parameters = query.parameters as readonly SQLInputValue[];
      if (statement.columns().length > 0) return { rows: statement.all(...parameters) as R[] };
      const { changes, lastInsertRowid } = statement.run(...parameters);
      if (!database.isTransaction) onCommit();
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
    } catch (error) {
      throw mapError(error);
    }
  };
  return {
    executeQuery: async <R>(query: CompiledQuery) => execute<R>(query),
    async *streamQuery<R>(query: CompiledQuery) {
      yield execute<R>(query);
    },
  };
}
