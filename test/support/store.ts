/** A database of its own for tests that store batches without a queue. */
import { Database } from '../../src/store/database.ts';
import type { ListPage } from '../../src/store/object-lists.ts';
import { waitFor } from './wait-for.ts';

export interface TestStore {
  readonly url: string;
  readonly database: Database;
  /** Another connection to it that keeps this many former versions. */
  withHistoryLimit(historyLimit: number): Database;
  close(): Promise<void>;
}

/** Connects to a database of tests. */
export function connectStore(url: string): TestStore {
  const opened: Database[] = [];
  const open = (limits: { historyLimit?: number }): Database => {
    const database = new Database({
      url,
      poolSize: 16,
      queryTimeoutMs: 20_000,
      onError: () => undefined,
      ...limits,
    });
    opened.push(database);
    return database;
  };
  return {
    url,
    database: open({}),
    withHistoryLimit: (historyLimit) => open({ historyLimit }),
    async close() {
      for (const database of opened) await database.close();
    },
  };
}

/** Walks through all pages of a list. @param read gets the last item of the page before */
export async function allPages<Item>(
  read: (last: Item | undefined) => Promise<ListPage<Item> | undefined>,
): Promise<Item[][]> {
  const pages: Item[][] = [];
  let last: Item | undefined;
  for (;;) {
    const page = await read(last);
    if (!page) throw new Error('there is no such list');
    pages.push([...page.items]);
    last = page.items.at(-1);
    if (!page.hasMore) return pages;
    if (!last) throw new Error('an empty page that has more');
  }
}

/** The delete of an object as it stands in a batch. */
export function deletion(id: string): readonly [string, string] {
  return [id, JSON.stringify(id)];
}

/** Waits until so many transactions wait for a lock. */
export async function lockWaits(database: Database, count: number): Promise<void> {
  await waitFor(`${count} transactions to wait for a lock`, async () => {
    const [row] = await database.query<{ count: number }>({
      text: `SELECT count(*)::int FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    });
    return row?.count === count;
  });
}
