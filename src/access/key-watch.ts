/**
 * Keeps the keys in memory like those in the database: told by NOTIFY of every change, and looking by itself every few
 * seconds, because a notification can get lost (a pooler in between, a connection that went silent).
 */
import pg from 'pg';
import { API_KEYS_CHANNEL, activeApiKeys, noteApiKeysUsed } from '../store/api-keys.ts';
import type { Queryable } from '../store/database.ts';
import { SteadyClient } from '../store/steady-client.ts';
import type { KeyRing } from './key-ring.ts';

/** How often the keys are read without having been told, in milliseconds. */
const POLL_MS = 5_000;

/** How long after it broke the listening connection is made anew, in milliseconds. */
const RECONNECT_MS = 1_000;

/** How often it is noted when keys were last used, in milliseconds. */
const NOTE_USE_MS = 30_000;

export interface KeyWatchOptions {
  readonly ring: KeyRing;
  readonly database: Queryable;
  readonly databaseUrl: string;
  /** Told of what fails; the keys stay as they are known then. */
  readonly onError: (error: Error) => void;
}

export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #listener: pg.Client | undefined;
  #reconnect: NodeJS.Timeout | undefined;
  #closed = false;
  #notedAt = Date.now();

  constructor(options: KeyWatchOptions) {
    this.#options = options;
  }

  /** Starts to watch. @returns when the keys were read for the first time, or could not be */
  async start(): Promise<void> {
    const poll = setInterval(() => void this.#read(), POLL_MS);
    const note = setInterval(() => void this.#noteUse(), NOTE_USE_MS);
    for (const timer of [poll, note]) this.#timers.push(timer.unref());
    void this.#listen();
    await this.#read();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#reconnect);
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([this.#listener?.end(), this.#reading, this.#noteUse()]);
  }

  /** Reads the keys; once more afterwards where that is asked for meanwhile. */
  #read(): Promise<void> {
    if (this.#reading) {
      this.#readAgain = true;
      return this.#reading;
    }
    const { ring, database, onError } = this.#options;
    this.#reading = activeApiKeys(database)
      .then((keys) => ring.replace(keys), onError)
      .finally(() => {
        this.#reading = undefined;
        if (!this.#readAgain || this.#closed) return;
        this.#readAgain = false;
        void this.#read();
      });
    return this.#reading;
  }

  async #listen(): Promise<void> {
    const { databaseUrl, onError } = this.#options;
    const client = new SteadyClient({
      connectionString: databaseUrl,
      application_name: 'inlet keys',
      connectionTimeoutMillis: 4_000,
      query_timeout: 4_000,
      keepAlive: true,
    });
    this.#listener = client;
    client.on('notification', () => void this.#read());
    client.once('end', () => this.#listenAgain(client));
    try {
      await client.connect();
      await client.query(`LISTEN ${pg.escapeIdentifier(API_KEYS_CHANNEL)}`);
      // What was told while nobody listened.
      await this.#read();
    } catch (error) {
      onError(error as Error);
      await client.end().catch(onError);
      this.#listenAgain(client);
    }
  }

  /** Once for each connection that broke, or was never made. */
  #listenAgain(broken: pg.Client): void {
    if (this.#closed || this.#listener !== broken) return;
    this.#listener = undefined;
    this.#reconnect = setTimeout(() => void this.#listen(), RECONNECT_MS).unref();
  }

  async #noteUse(): Promise<void> {
    const { ring, database, onError } = this.#options;
    const since = this.#notedAt;
    const now = Date.now();
    const used = ring.usedSince(since);
    if (used.length === 0) return;
    try {
      await noteApiKeysUsed(database, used);
      this.#notedAt = now;
    } catch (error) {
      onError(error as Error);
    }
  }
}
