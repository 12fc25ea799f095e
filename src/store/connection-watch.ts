/**
 * Finds connections to Postgres that are dead though nothing says so: of a server that is frozen or gone while its
 * address leads to another one, or behind a firewall that has forgotten them. TCP alone would take a quarter of an hour.
 *
 * A statement that gets no answer may as well wait for a lock. So the server is asked, over a new connection, what it
 * knows of those that we wait for. A connection is dead where it isn't known, or has no statement while we wait for the
 * answer of one. Of a server that doesn't answer nothing is concluded.
 */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailableError } from './faults.ts';
import type { SteadyClient } from './steady-client.ts';

/** In milliseconds. */
export interface ConnectionLimits {
  /** How often all connections are looked at. */
  readonly lookEveryMs: number;
  /** How long a statement may go without a byte of an answer before the server is asked. */
  readonly silentMs: number;
  /** Longest time for the new connection, and for each of its statements. */
  readonly askMs: number;
  /** How long a connection has to be found dead: an answer may be on its way. */
  readonly confirmMs: number;
  /** How soon the server is asked again where all connections were alive. */
  readonly askAgainMs: number;
}

/** What was stored on dead connections is stored on others within ten seconds. */
const LIMITS: ConnectionLimits = {
  lookEveryMs: 1_000,
  silentMs: 3_000,
  askMs: 2_000,
  confirmMs: 1_000,
  askAgainMs: 3_000,
};

/** The slowest that a large statement may travel to the server, which has none until all of it is there. */
const UPLOAD_BYTES_PER_MS = 256;

/** What is said of a connection when it is dropped. */
const DEAD = 'the connection to Postgres was dead';

/** The server's process of a connection. Ids of processes come again, also on other servers; with its start it is unique. */
export interface Backend {
  readonly pid: number;
  /** Seconds since 1970, to the microsecond. */
  readonly started: string;
}

/** What a server knows of a connection. Members are null where our role may not see them. */
interface BackendState {
  readonly pid: number;
  readonly started: string | null;
  /** It has no statement, or has its answer and gets rid of none of it. */
  readonly done: boolean | null;
}

/** How a connection was at the last look. Times are milliseconds. */
interface Look {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** When something of it was last read. */
  readonly heardAt: number;
  /** Since when it waits for an answer without a byte; undefined where it waits for none. */
  readonly silentSince: number | undefined;
  /** How much had been sent when the silence began, or somewhat less. */
  readonly writtenBefore: number;
}

/** A connection that may be dead, as it was when the server was asked. */
interface Suspect {
  readonly client: SteadyClient;
  readonly backend: Backend;
  readonly look: Look;
  /** Whether it has been silent for longer than its statement could be on its way. */
  readonly isSilent: boolean;
}

export class ConnectionWatch {
  readonly #limits: ConnectionLimits;
  readonly #clients = new Map<SteadyClient, Look>();
  /** When each server may be asked next; never while it is being asked. */
  readonly #askAt = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  /** It does nothing while there are no connections. */
  constructor(limits = LIMITS) {
    this.#limits = limits;
  }

  /** Watches a connection that has been made. */
  add(client: SteadyClient): void {
    this.#clients.set(client, lookAt(client, performance.now()));
    this.#timer ??= setInterval(() => this.#look(), this.#limits.lookEveryMs).unref();
  }

  /** It is closed. */
  remove(client: SteadyClient): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#askAt.clear();
  }

  #look(): void {
    const now = performance.now();
    const silent = new Map<string, SteadyClient>();
    for (const [client, before] of this.#clients) {
      const look = lookAt(client, now, before);
      this.#clients.set(client, look);
      if (look.silentSince === undefined || now - look.silentSince < this.#limits.silentMs) continue;
      // Nobody waits for the server's goodbye.
      if (client.isEnding) client.drop(new StoreUnavailableError(DEAD));
      else silent.set(client.server, client);
    }
    for (const [server, client] of silent) {
      if ((this.#askAt.get(server) ?? 0) <= now) void this.#ask(server, client);
    }
  }

  /** @param silent one of the connections whose silence is the reason */
  async #ask(server: string, silent: SteadyClient): Promise<void> {
    this.#askAt.set(server, Number.POSITIVE_INFINITY);
    // Connections that are made from here on may have another server, and aren't judged.
    const suspects = this.#suspects(server);
    const { bytesRead } = silent;
    const probe = silent.sibling(this.#limits.askMs);
    let askAgainMs = 0;
    try {
      await probe.connect();
      const dead = await this.#findDead(probe, suspects);
      if (dead.length === 0) {
        askAgainMs = this.#limits.askAgainMs;
      } else {
        for (const { client } of dead) client.drop(new StoreUnavailableError(DEAD));
        this.#report(server, new Error(`dropped ${dead.length} dead connections to Postgres`));
        await endBackends(probe, dead);
      }
    } catch (cause) {
      const message = 'Postgres does not answer a statement, and a new connection fails';
      if (silent.bytesRead === bytesRead) this.#report(server, new Error(message, { cause }));
    } finally {
      closeNow(probe);
      this.#askAt.set(server, performance.now() + askAgainMs);
    }
  }

  #suspects(server: string): Suspect[] {
    const now = performance.now();
    return [...this.#clients].flatMap(([client, look]) => {
      const { backend, bytesWritten } = client;
      if (client.server !== server || !backend) return [];
      const uploadMs = (bytesWritten - look.writtenBefore) / UPLOAD_BYTES_PER_MS;
      const silentMs = now - (look.silentSince ?? now);
      return [{ client, backend, look, isSilent: silentMs >= this.#limits.silentMs + uploadMs }];
    });
  }

  /** @returns those of which the server says twice that they are dead, and that have received nothing meanwhile */
  async #findDead(probe: SteadyClient, suspects: readonly Suspect[]): Promise<readonly Suspect[]> {
    // Where a pooler has come in between, the answers are of any server.
    const found = probe.backend ? await this.#stillDead(probe, suspects) : [];
    if (found.length === 0) return [];
    await delay(this.#limits.confirmMs, undefined, { ref: false });
    const dead = await this.#stillDead(probe, found);
    // What has happened to one that waits has often happened to all: those that nobody uses are made anew.
    const silences = dead.flatMap(({ isSilent, look }) => (isSilent ? (look.silentSince ?? []) : []));
    const unused = suspects.filter(
      (suspect) =>
        suspect.client.isIdle &&
        suspect.look.heardAt <= Math.max(...silences) &&
        this.#hasReceivedNothing(suspect),
    );
    return [...new Set([...dead, ...unused])];
  }

  async #stillDead(probe: SteadyClient, suspects: readonly Suspect[]): Promise<readonly Suspect[]> {
    const known = await backendStates(probe, suspects);
    return suspects.filter((suspect) => this.#hasReceivedNothing(suspect) && isGone(suspect, known));
  }

  #hasReceivedNothing({ client, look }: Suspect): boolean {
    return this.#clients.has(client) && client.bytesRead === look.bytesRead;
  }

  #report(server: string, error: Error): void {
    const clients = [...this.#clients.keys()];
    clients.find((client) => client.server === server && client.onTrouble)?.onTrouble?.(error);
  }
}

/** That of this process. */
export const connectionWatch = new ConnectionWatch();

function lookAt(client: SteadyClient, now: number, before?: Look): Look {
  const { bytesRead, bytesWritten, isWaiting } = client;
  const hasHeard = bytesRead !== before?.bytesRead;
  const isNew = hasHeard || before.silentSince === undefined;
  return {
    bytesRead,
    bytesWritten,
    heardAt: hasHeard ? now : before.heardAt,
    silentSince: isWaiting ? (isNew ? now : before.silentSince) : undefined,
    writtenBefore: isNew ? (before?.bytesWritten ?? 0) : before.writtenBefore,
  };
}

function closeNow(client: SteadyClient): void {
  client.end().catch(() => undefined);
  (client.connection.stream as Socket).destroySoon();
}

async function backendStates(
  probe: SteadyClient,
  suspects: readonly Suspect[],
): Promise<ReadonlyMap<number, BackendState>> {
  const { rows } = await probe.query<BackendState>(
    `SELECT pid, extract(epoch FROM backend_start)::text AS started,
       state LIKE 'idle%' OR wait_event = 'ClientWrite' AS done
     FROM pg_stat_activity WHERE pid = ANY($1)`,
    [suspects.map(({ backend }) => backend.pid)],
  );
  return new Map(rows.map((row) => [row.pid, row]));
}

function isGone({ backend, isSilent }: Suspect, known: ReadonlyMap<number, BackendState>): boolean {
  const state = known.get(backend.pid);
  if (!state) return true;
  if (state.started === null) return false;
  return state.started !== backend.started || (isSilent && state.done === true);
}

/**
 * Ends what the server still has of connections, if it can: it would keep their locks for seconds, and their place among
 * `max_connections` for hours.
 */
async function endBackends(probe: SteadyClient, dead: readonly Suspect[]): Promise<void> {
  const end = probe.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE (pid, extract(epoch FROM backend_start)::text) IN (SELECT * FROM unnest($1::integer[], $2::text[]))`,
    [dead.map(({ backend }) => backend.pid), dead.map(({ backend }) => backend.started)],
  );
  await end.catch(() => undefined);
}
