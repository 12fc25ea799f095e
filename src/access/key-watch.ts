/**
 * Keeps the keys in memory like those in the database: told by NOTIFY of every change, and looking by itself every few
 * seconds, because a notification can get lost (a pooler in between, a connection that went silent). All of it goes over
 * one connection of its own, so that it never waits for the requests' pool.
 */
import pg from 'pg';
import type { ActiveApiKey } from '../domain/api-key.ts';
import { API_KEYS_CHANNEL, activeApiKeys, noteApiKeysUsed } from '../store/api-keys.ts';
import { queryableOn } from '../store/database.ts';
import { SteadyClient } from '../store/steady-client.ts';
import type { KeyRing } from './key-ring.ts';

/** How often the keys are read without having been told, in milliseconds. */
const POLL_MS = 5_000;

/** How long after it broke the connection is made anew, in milliseconds. */
const RECONNECT_MS = 1_000;

/** How often it is noted when keys were last used, in milliseconds. */
const NOTE_USE_MS = 30_000;

/** Longest wait for Postgres, in milliseconds; then the connection counts as broken. */
const TIMEOUT_MS = 4_000;

export interface KeyWatchOptions {
  readonly ring: KeyRing;
  readonly databaseUrl: string;
  /** Told of all keys each time that they were read. */
  readonly onKeys: (keys: readonly ActiveApiKey[]) => void;
  /** Told of what fails; the keys stay as they are known then. */
  readonly onError: (error: Error) => void;
}

export class KeyWatch {
  readonly #options: KeyWatchOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  /** The connection, from the moment that it is listened on. */
  #client: pg.Client | undefined;
  #reconnect: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #closed = false;
  #notedUntil = Date.now();

  constructor(options: KeyWatchOptions) {
    this.#options = options;
  }

  /** Starts to watch. @returns when the keys were read for the first time, or could not be */
  async start(): Promise<void> {
    const poll = setInterval(() => void this.#read(), POLL_MS);
    const note = setInterval(() => void this.#noteUse(), NOTE_USE_MS);
    for (const timer of [poll, note]) this.#timers.push(timer.unref());
    await this.#connect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#reconnect);
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([this.#reading, this.#noteUse()]);
    await this.#client?.end();
  }

  async #connect(): Promise<void> {
    const { databaseUrl, onError } = this.#options;
    const client = new SteadyClient({
      connectionString: databaseUrl,
      application_name: 'inlet keys',
      connectionTimeoutMillis: TIMEOUT_MS,
      query_timeout: TIMEOUT_MS,
    });
    client.on('notification', () => void this.#read());
    try {
      await client.connect();
      client.once('end', () => this.#connectAgain(client));
      await client.query(`LISTEN ${pg.escapeIdentifier(API_KEYS_CHANNEL)}`);
    } catch (error) {
      onError(error as Error);
      await client.end().catch(onError);
      this.#connectAgain(undefined);
      return;
    }
    this.#client = client;
    // Also what was told while nobody listened.
    await this.#read();
  }

  /** @param broken the connection that is no more; undefined where there was none yet */
  #connectAgain(broken: pg.Client | undefined): void {
    if (this.#closed || this.#client !== broken) return;
    this.#client = undefined;
    clearTimeout(this.#reconnect);
    this.#reconnect = setTimeout(() => void this.#connect(), RECONNECT_MS).unref();
  }

  /** Reads the keys; once more afterwards where that is asked for meanwhile. */
  #read(): Promise<void> {
    if (this.#reading) {
      this.#readAgain = true;
      return this.#reading;
    }
    this.#reading = this.#use(async (client) => {
      const keys = await activeApiKeys(queryableOn(client));
      this.#options.ring.replace(keys);
      this.#options.onKeys(keys);
    }).finally(() => {
      this.#reading = undefined;
      if (!this.#readAgain || this.#closed) return;
      this.#readAgain = false;
      void this.#read();
    });
    return this.#reading;
  }

  async #noteUse(): Promise<void> {
    const now = Date.now();
    const used = this.#options.ring.usedSince(this.#notedUntil);
    if (used.length === 0) return;
    await this.#use(async (client) => {
      await noteApiKeysUsed(queryableOn(client), used);
      this.#notedUntil = now;
    });
  }

  /** Whatever fails on the connection ends it, and another one is made. */
  async #use(run: (client: pg.Client) => Promise<void>): Promise<void> {
    const client = this.#client;
    if (!client) return;
    try {
      await run(client);
    } catch (error) {
      this.#options.onError(error as Error);
      await client.end().catch(this.#options.onError);
      this.#connectAgain(client);
    }
  }
}
