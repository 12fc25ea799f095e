import { describe, expect, it } from 'vitest';
import { isolate } from '../../src/ingest/isolate.ts';

interface Write {
  readonly key: number;
  readonly version: number;
}

/** Takes writes all or none, as one statement does, and remembers what it was asked. */
class Store {
  readonly attempts: Write[][] = [];
  readonly stored = new Map<number, Write>();
  readonly #isBad: (write: Write) => boolean;

  constructor(isBad: (write: Write) => boolean) {
    this.#isBad = isBad;
  }

  readonly attempt = async (writes: readonly Write[]): Promise<string | undefined> => {
    this.attempts.push([...writes]);
    const bad = writes.find((write) => this.#isBad(write));
    if (bad) return `refused ${bad.key}/${bad.version}`;
    for (const write of writes) this.stored.set(write.key, write);
    return undefined;
  };
}

const NONE = { failed: [], waiting: [] };

/** One write for each key from 0. */
function singles(length: number): Write[][] {
  return Array.from({ length }, (_, key) => [{ key, version: 0 }]);
}

const named = (writes: readonly Write[]): string[] => writes.map(({ key, version }) => `${key}/${version}`);

describe('isolate', () => {
  it('stores everything at once where nothing is refused', async () => {
    const store = new Store(() => false);
    expect(await isolate(singles(1_000), store.attempt)).toEqual(NONE);
    expect(store.attempts).toHaveLength(1);
    expect(store.stored.size).toBe(1_000);
  });

  it('tries nothing where there is nothing', async () => {
    const store = new Store(() => false);
    expect(await isolate([], store.attempt)).toEqual(NONE);
    expect(await isolate([[], []], store.attempt)).toEqual(NONE);
    expect(store.attempts).toEqual([]);
  });

  it.each([
    ['the only one', 1, [0]],
    ['the first', 8, [0]],
    ['the last', 8, [7]],
    ['one in the middle', 7, [3]],
    ['two neighbours', 9, [4, 5]],
    ['two far apart', 100, [0, 99]],
    ['every other', 10, [1, 3, 5, 7, 9]],
    ['all', 6, [0, 1, 2, 3, 4, 5]],
  ])('names the culprits alone, each with its own reason: %s', async (_, length, culprits) => {
    const store = new Store(({ key }) => culprits.includes(key));
    const { failed: failures } = await isolate(singles(length), store.attempt);
    expect(failures).toEqual(
      culprits.map((key) => ({ write: { key, version: 0 }, reason: `refused ${key}/0` })),
    );
    expect([...store.stored.keys()].sort((a, b) => a - b)).toEqual(
      Array.from({ length }, (_unused, key) => key).filter((key) => !culprits.includes(key)),
    );
  });

  it('never tries again what has been stored', async () => {
    const stored: number[] = [];
    const store = new Store(({ key }) => key % 37 === 5);
    await isolate(singles(300), async (writes) => {
      const reason = await store.attempt(writes);
      if (reason === undefined) stored.push(...writes.map(({ key }) => key));
      return reason;
    });
    expect(new Set(stored).size).toBe(stored.length);
  });

  it('keeps the order of the groups in every attempt, which is the order of locks', async () => {
    const store = new Store(({ key }) => key % 10 === 3);
    await isolate(singles(64), store.attempt);
    for (const writes of store.attempts) {
      const keys = writes.map(({ key }) => key);
      expect(keys).toEqual([...keys].sort((a, b) => a - b));
    }
    const stored = [...store.stored.keys()];
    expect(stored).toEqual([...stored].sort((a, b) => a - b));
  });

  it.each([
    [1_024, 1],
    [1_000, 1],
    [10_000, 1],
    [10_000, 3],
    [1_000, 10],
  ])('needs about log₂ n attempts for each culprit: of %d, %d are bad', async (length, bad) => {
    const culprits = new Set(Array.from({ length: bad }, (_, i) => Math.floor((i * length) / bad)));
    const store = new Store(({ key }) => culprits.has(key));
    expect((await isolate(singles(length), store.attempt)).failed).toHaveLength(bad);
    expect(store.attempts.length).toBeLessThanOrEqual(1 + 2 * bad * Math.ceil(Math.log2(length)));
  });

  it('needs fewer than two attempts for each write where all are bad', async () => {
    const store = new Store(() => true);
    expect((await isolate(singles(500), store.attempt)).failed).toHaveLength(500);
    expect(store.attempts.length).toBeLessThan(1_000);
  });

  it('halves also what is refused together but not apart', async () => {
    const store = new Store(() => false);
    const { failed: failures } = await isolate(singles(10), async (writes) =>
      writes.length > 3 ? 'too much at once' : store.attempt(writes),
    );
    expect(failures).toEqual([]);
    expect(store.stored.size).toBe(10);
  });

  it('passes on an error of the attempt', async () => {
    const gone = new Error('connection lost');
    await expect(isolate(singles(3), () => Promise.reject(gone))).rejects.toBe(gone);
  });

  describe('of several writes of one key', () => {
    const versions = (key: number, count: number): Write[] =>
      Array.from({ length: count }, (_, version) => ({ key, version }));

    it('stores the last alone, and tries the others not at all', async () => {
      const store = new Store(() => false);
      expect(await isolate([versions(0, 3), versions(1, 2)], store.attempt)).toEqual(NONE);
      expect(store.attempts.map(named)).toEqual([['0/2', '1/1']]);
    });

    it('lets an earlier one be overtaken that would have been refused', async () => {
      const store = new Store(({ version }) => version === 0);
      expect(await isolate([versions(0, 2)], store.attempt)).toEqual(NONE);
      expect(store.stored.get(0)?.version).toBe(1);
    });

    it('stores the one before where the last is refused', async () => {
      const store = new Store(({ key, version }) => key === 1 && version === 2);
      const { failed: failures } = await isolate(
        [versions(0, 3), versions(1, 3), versions(2, 1)],
        store.attempt,
      );
      expect(failures.map(({ write }) => named([write]))).toEqual([['1/2']]);
      expect(named([...store.stored.values()]).sort()).toEqual(['0/2', '1/1', '2/0']);
      expect(store.attempts.flatMap(named)).not.toContain('1/0');
      expect(store.attempts.flatMap(named)).not.toContain('0/1');
    });

    it('goes back as far as it must', async () => {
      const store = new Store(({ key, version }) => (key === 0 ? version > 0 : version > 2));
      const { failed: failures } = await isolate([versions(0, 4), versions(1, 4)], store.attempt);
      expect(named(failures.map(({ write }) => write)).sort()).toEqual(['0/1', '0/2', '0/3', '1/3']);
      expect(named([...store.stored.values()]).sort()).toEqual(['0/0', '1/2']);
    });

    it('names all where all are refused', async () => {
      const store = new Store(({ key }) => key === 0);
      const { failed: failures } = await isolate([versions(0, 3), versions(1, 1)], store.attempt);
      expect(named(failures.map(({ write }) => write)).sort()).toEqual(['0/0', '0/1', '0/2']);
      expect([...store.stored.keys()]).toEqual([1]);
    });
  });

  describe('where what is refused may pass later', () => {
    const versions = (key: number, count: number): Write[] =>
      Array.from({ length: count }, (_, version) => ({ key, version }));

    it('lets it wait, with the writes of its key that stand before it, and stores the others', async () => {
      const store = new Store(({ key }) => key === 1);
      const { failed, waiting } = await isolate(
        [versions(0, 2), versions(1, 3), versions(2, 1)],
        store.attempt,
        () => false,
      );
      expect(failed).toEqual([]);
      expect(named(waiting)).toEqual(['1/0', '1/1', '1/2']);
      expect(named([...store.stored.values()]).sort()).toEqual(['0/1', '2/0']);
      expect(store.attempts.flatMap(named)).not.toContain('1/1');
    });

    it('asks for each reason', async () => {
      const store = new Store(({ key }) => key < 2);
      const asked: string[] = [];
      const { failed, waiting } = await isolate(singles(4), store.attempt, async (reason) => {
        asked.push(reason);
        return reason === 'refused 0/0';
      });
      expect(failed.map(({ write }) => write.key)).toEqual([0]);
      expect(named(waiting)).toEqual(['1/0']);
      expect(asked).toEqual(['refused 0/0', 'refused 1/0']);
    });
  });
});
