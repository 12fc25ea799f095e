/** Clients that write, delete and import, each for itself and over one another, and note what they were told. */
import { setTimeout as delay } from 'node:timers/promises';
import type { History, Observation, Operation, VersionData, Write } from './history.ts';
import type { Called } from './http-client.ts';
import { call } from './http-client.ts';
import { importFile } from './importing.ts';
import type { Random } from './random.ts';
import { randomFrom } from './random.ts';

const SHARED_IDS = Array.from({ length: 10 }, (_, i) => `shared-${i}`);
const OWN_IDS = 8;
/** Most objects in one request of the load. */
const MAX_OBJECTS = 20;
/** How long an API is left alone that has not answered, in milliseconds. */
const AVOIDED_MS = 1_000;

export interface WorkloadOptions {
  /** Where APIs are reached. Asked before each call, so that a client can go around one that is not ready. */
  readonly urls: () => readonly string[];
  readonly namespace: string;
  readonly seed: number;
  readonly clients?: number;
  /** Longest pause of a client after a call, in milliseconds. */
  readonly pauseMs?: number;
  /** Whether somebody reads all the time. */
  readonly reads?: boolean;
  /** Whether files are imported too. */
  readonly imports?: boolean;
  /** How long an upload is tried again, in milliseconds. */
  readonly importPatienceMs?: number;
}

export class Workload {
  readonly #options: Required<WorkloadOptions>;
  readonly #operations: Operation[] = [];
  readonly #observations: Observation[] = [];
  readonly #complaints: string[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #avoidedUntil = new Map<string, number>();
  #stopped = false;

  constructor(options: WorkloadOptions) {
    this.#options = {
      ...{ clients: 6, pauseMs: 40, imports: true, reads: true, importPatienceMs: 15_000 },
      ...options,
    };
    const { seed, clients, imports, reads } = this.#options;
    for (let i = 0; i < clients; i += 1) this.#running.push(this.#write(`c${i}`, randomFrom(seed + i)));
    if (imports) this.#running.push(this.#import('importer', randomFrom(seed + 1_000)));
    if (reads) this.#running.push(this.#read(randomFrom(seed + 2_000)));
  }

  /** How many operations were acknowledged so far. */
  get acknowledged(): number {
    return this.#operations.filter(({ outcome }) => outcome === 'acknowledged').length;
  }

  /** Lets the clients end what they have begun. */
  async stop(): Promise<History> {
    this.#stopped = true;
    await Promise.all(this.#running);
    return {
      operations: this.#operations,
      observations: this.#observations,
      complaints: this.#complaints,
    };
  }

  /** One of the APIs, but not one that has just left a call without an answer, where there is another. */
  #url(random: Random): string {
    const urls = this.#options.urls();
    const now = performance.now();
    const usable = urls.filter((url) => (this.#avoidedUntil.get(url) ?? 0) < now);
    return random.pick(usable.length > 0 ? usable : urls);
  }

  async #call(url: string, path: string, init: RequestInit, accepted: number): Promise<Called> {
    const called = await call(url + path, init, accepted, (complaint) => this.#complaints.push(complaint));
    if (!called.answered) this.#avoidedUntil.set(url, performance.now() + AVOIDED_MS);
    return called;
  }

  async #write(client: string, random: Random): Promise<void> {
    const once: string[] = [];
    for (let n = 0; !this.#stopped; n += 1) {
      const writes = drawWrites(client, n, random, once);
      const outcome = await this.#send(client, writes, random);
      const isOnce = writes.some(({ id }) => id === onceId(client, n));
      if (isOnce && outcome === 'acknowledged') once.push(onceId(client, n));
      await delay(outcome === 'acknowledged' ? random.next() * this.#options.pauseMs : 150);
    }
  }

  async #send(client: string, writes: readonly Write[], random: Random): Promise<string> {
    const { namespace } = this.#options;
    const [first] = writes;
    const isDelete = first !== undefined && first.data === undefined;
    const path = isDelete ? `/v1/data/${namespace}/objects/${first.id}` : `/v1/data/${namespace}`;
    const objects = writes.map(({ data }) => data);
    const init: RequestInit = isDelete
      ? { method: 'DELETE' }
      : {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ data: objects.length === 1 ? objects[0] : objects }),
        };
    const begunAt = performance.now();
    const { outcome, answered, answer, body } = await this.#call(this.#url(random), path, init, 202);
    const requestId = outcome === 'acknowledged' ? { requestId: String(body['requestId']) } : {};
    this.#operations.push({
      ...{ client, kind: isDelete ? 'delete' : 'write', writes },
      ...{ begunAt, endedAt: performance.now(), outcome, answered, answer, ...requestId },
    });
    return outcome;
  }

  async #import(client: string, random: Random): Promise<void> {
    const { namespace, importPatienceMs } = this.#options;
    for (let n = 0; !this.#stopped; n += 1) {
      const operation = await importFile({
        ...{ client, namespace, patienceMs: importPatienceMs },
        url: () => this.#url(random),
        isStopped: () => this.#stopped,
        onComplaint: (complaint) => this.#complaints.push(complaint),
        ...drawFile(client, n, random),
      });
      if (operation) this.#operations.push(operation);
      await delay(this.#stopped ? 0 : random.between(200, 1_500));
    }
  }

  /** Reads the ids that all write, again and again. */
  async #read(random: Random): Promise<void> {
    const query = SHARED_IDS.map((id) => `id=${id}`).join('&');
    while (!this.#stopped) {
      const path = `/v1/data/${this.#options.namespace}/objects?${query}`;
      const { outcome, body } = await this.#call(this.#url(random), path, {}, 200);
      if (outcome === 'acknowledged') {
        const objects = body['data'] as {
          id: string;
          revision: number;
          request_id: string;
          data: VersionData;
        }[];
        for (const { id, revision, request_id: requestId, data } of objects) {
          this.#observations.push({ id, revision, requestId, v: data.v });
        }
      }
      await delay(50 + random.next() * 100);
    }
  }
}

/** A version of an object: what it holds follows from its name, and is long enough to be torn if it could be. */
function version(id: string, v: string, random: Random, more: Record<string, unknown> = {}): VersionData {
  return {
    id,
    v,
    n: random.between(0, 1_000_000_000),
    list: [v, null, true],
    text: v.repeat(random.between(1, 8)),
    ...more,
  };
}

/** An id that the client writes in its nth request and then no more, but for what is to be refused. */
function onceId(client: string, n: number): string {
  return `${client}-once-${n}`;
}

/**
 * What one request writes: mostly arrays, with ids of the client's own and shared ones, some of them twice.
 * @param once ids that the client has written once, as it was told, and not tried to overwrite yet; one that may be on
 *   its way still could come after what is to be refused
 */
function drawWrites(client: string, n: number, random: Random, once: string[]): Write[] {
  const own = (): string => `${client}-${random.between(0, OWN_IDS - 1)}`;
  const anyId = (): string => (random.chance(0.5) ? own() : random.pick(SHARED_IDS));
  if (random.chance(0.1)) return [{ id: anyId(), data: undefined }];
  const count = random.chance(0.4) ? 1 : random.between(2, MAX_OBJECTS);
  const ids = Array.from({ length: count }, anyId);
  // An object that Postgres will refuse; then each id once, so that it is clear what the request's results are. Under
  // an id of which there is a version that has to stay, and that nobody writes after that: what is overtaken by a write
  // that is stored in the same transaction isn't even tried.
  const overwritten = random.chance(0.08) ? once.shift() : undefined;
  const isNew = overwritten === undefined && random.chance(0.08);
  const special = overwritten ?? (isNew ? onceId(client, n) : undefined);
  const all = special === undefined ? ids : [...new Set(ids).add(special)];
  return all.map((id, i): Write => {
    const v = `${client}.${n}.${i}`;
    if (overwritten === undefined || id !== overwritten) return { id, data: version(id, v, random) };
    return { id, data: version(id, v, random, { poison: true }), fails: true };
  });
}

/** A file of a few chunks: ids of its own, shared ones, some twice, lines that are no objects, and objects that fail. */
function drawFile(client: string, n: number, random: Random) {
  const count = random.between(500, 3_500);
  const lines: string[] = [];
  const writes: Write[] = [];
  const badLines: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const line = i + 1;
    const kind = random.next();
    if (kind < 0.002) {
      lines.push(`{"id": "torn`);
      badLines.push(line);
      continue;
    }
    const id =
      kind < 0.01
        ? random.pick(SHARED_IDS)
        : `${client}-${kind < 0.02 ? 0 : n}-${random.between(0, 20 * count)}`;
    const v = `${client}.${n}.${i}`;
    const fails = kind > 0.9995;
    const data = fails
      ? version(`${client}-bad-${n}-${i}`, v, random, { poison: true })
      : version(id, v, random);
    writes.push({ id: data.id, data, line, ...(fails ? { fails } : {}) });
    lines.push(JSON.stringify(data));
  }
  return { file: `${lines.join('\n')}\n`, writes, badLines };
}
