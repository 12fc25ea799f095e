/** What our own servers are told by their environment. */

export type PlainServer = 'textbook-api' | 'textbook-worker' | 'direct-api' | 'drop-api';

export interface Settings {
  readonly port: number;
  readonly apiKey: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

export function readSettings(): Settings {
  const { PORT, API_KEY = '', DATABASE_URL = '', REDIS_URL = '' } = process.env;
  return { port: Number(PORT), apiKey: API_KEY, databaseUrl: DATABASE_URL, redisUrl: REDIS_URL };
}

/** Ends the process when it is asked to. */
export function onTerminate(close: () => Promise<unknown>): void {
  process.once('SIGTERM', () => {
    void close().then(() => process.exit(0));
  });
}
