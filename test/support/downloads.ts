/** Downloads of results that nobody reads, and what they ask of Postgres meanwhile. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { SteadyClient } from '../../src/store/steady-client.ts';
import type { TestStore } from './store.ts';
import { waitFor } from './wait-for.ts';

/** Well above the time between two pages of a download that is read, in milliseconds. */
const QUIET_MS = 300;

/** Asks for a file, and doesn't read it. */
export async function openWithoutReading(url: string): Promise<Socket> {
  const { hostname, port, pathname, search } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  await once(socket, 'readable');
  return socket;
}

/** Reads to the end. @returns how many bytes came */
export async function readOn(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(socket, 'close');
  return bytes;
}

/** A lock on the objects: a download that asks Postgres for more has to wait, and is seen. */
export interface ObjectsLock {
  /** Whether downloads wait for the objects: one, or so many. */
  isAwaited(count?: number): Promise<boolean>;
  /** Whether none comes to wait, though it is waited for. */
  staysUnasked(): Promise<boolean>;
  release(): Promise<void>;
}

/** Locks the objects as soon as no download asks for more of them. */
export async function lockObjects({ url, database }: TestStore): Promise<ObjectsLock> {
  const client = new SteadyClient({ connectionString: url });
  onTestFinished(() => client.end());
  await client.connect();
  const isAwaited = async (count = 1): Promise<boolean> => {
    const found = await database.query({
      text: `SELECT FROM pg_stat_activity WHERE datname = current_database()
             AND wait_event_type = 'Lock' AND query LIKE '%jsonb_object_agg%'`,
    });
    return found.length >= count;
  };
  const staysUnasked = async (): Promise<boolean> => {
    await delay(QUIET_MS);
    return !(await isAwaited());
  };
  const release = async (): Promise<void> => {
    await client.query('ROLLBACK');
  };
  await waitFor('downloads to ask for no more', async () => {
    await client.query('BEGIN');
    await client.query('LOCK TABLE inlet.objects IN ACCESS EXCLUSIVE MODE');
    const isQuiet = await staysUnasked();
    if (!isQuiet) await release();
    return isQuiet;
  });
  return { isAwaited, staysUnasked, release };
}
