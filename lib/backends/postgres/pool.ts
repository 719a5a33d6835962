/** What is used of a pool of the package pg, ours or the application's, and what it answers. */

/** What is used of the package's pool. */
export interface Pool {
  readonly totalCount: number;
  readonly waitingCount?: number;
  connect(callback: (error: Error | undefined, client: Client | undefined) => void): void;
  on(event: "connect", listener: (client: Client) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "connect", listener: (client: Client) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

/** What is used of a connection that was taken from it. */
export interface Client {
  query(query: object, values: readonly (string | number)[]): Promise<Result>;
  release(destroy?: Error): void;
  end(): unknown;
  /** `T` or `E` within a transaction. Since version 8.21. */
  getTransactionStatus?(): string | null;
  readonly connection?: { readonly stream: { destroy(): void } };
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
}

/** What a statement came to. */
export interface Result {
  readonly rows: readonly Row[];
  /** Rows changed, or answered. */
  readonly rowCount: number | null;
}

/** As text, whatever the column. */
export type Row = readonly (string | null)[];
