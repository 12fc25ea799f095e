/** Lists of objects and of their versions, over HTTP. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import type { ObjectAnswer, ProblemAnswer } from '../support/inlet.ts';
import { TestInlet, testConfig } from '../support/inlet.ts';
import { deletion, openTestStore } from '../support/store.ts';

interface ListAnswer<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

interface RevisionAnswer {
  readonly revision: number;
  readonly data: Record<string, unknown> | null;
  readonly deleted: boolean;
  readonly request_id: string;
  readonly accepted_at: string;
  readonly updated_at: string;
}

let inlet: TestInlet;
let database: Database;
let drop: () => Promise<void>;

beforeAll(async () => {
  const store = await openTestStore();
  drop = store.close;
  database = store.database;
  const services = { databaseUrl: store.url, redisUrl: inject('redisUrl') ?? undefined };
  inlet = await TestInlet.start(testConfig(services));
});

afterAll(async () => {
  await inlet?.close();
  await drop?.();
});

let time = 0;

/** Stores objects, or deletes, behind the API. */
async function store(namespace: string, ...objects: (readonly [string, string])[]): Promise<void> {
  time += 1;
  await storeBatch(database, handMadeBatch(time, [{ namespace, objects }]));
}

async function list<Item = ObjectAnswer>(path: string): Promise<ListAnswer<Item>> {
  const response = await inlet.fetch(`/v1/data/${path}`);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  return JSON.parse(text) as ListAnswer<Item>;
}

async function detail(path: string, status: number): Promise<string> {
  const response = await inlet.fetch(`/v1/data/${path}`);
  expect(response.status).toBe(status);
  return ((await response.json()) as ProblemAnswer).detail;
}

/** The ids of all pages. */
async function pages(namespace: string, limit: number, between = async () => {}): Promise<string[][]> {
  const found: string[][] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const query: string = cursor && `&cursor=${cursor}`;
    const page: ListAnswer<ObjectAnswer> = await list(`${namespace}/objects?limit=${limit}${query}`);
    found.push(page.data.map(({ id }) => id));
    cursor = page.next_cursor;
    await between();
  }
  return found;
}

describe('GET objects', () => {
  it('lists what is stored in the shape of a single object, by id, without what was deleted', async () => {
    await store('list', object('b', { n: 1 }), object('a'), object('é'), object('B'), object('c'));
    await store('list', deletion('c'), deletion('unknown'));
    await store('other', object('z'));
    const answer = await list('list/objects');
    expect(answer.data.map(({ id }) => id)).toEqual(['B', 'a', 'b', 'é']);
    expect(answer.next_cursor).toBeNull();
    expect(answer.data[2]).toEqual(await inlet.object('list', 'b'));
    expect(await list('nothing/objects')).toEqual({ data: [], next_cursor: null });
  });

  it('goes through pages, the last one with no cursor also where it is full', async () => {
    const ids = Array.from({ length: 10 }, (_, i) => `id-${i}`);
    await store('pages', ...ids.map((id) => object(id)));
    expect(await pages('pages', 5)).toEqual([ids.slice(0, 5), ids.slice(5)]);
    expect((await pages('pages', 4)).map((page) => page.length)).toEqual([4, 4, 2]);
    expect(await pages('pages', 500)).toEqual([ids]);
  });

  it('has 50 to a page unless asked, at most 500, and refuses what is no limit or cursor', async () => {
    await store('many', ...Array.from({ length: 60 }, (_, i) => object(`id-${i}`)));
    expect((await list('many/objects')).data).toHaveLength(50);
    expect(await detail('many/objects?limit=501', 400)).toContain('limit');
    expect(await detail('many/objects?limit=0', 400)).toContain('limit');
    expect(await detail('many/objects?cursor=*', 400)).toContain('cursor');
    expect(await detail('many/objects?cursor=AA', 400)).toContain('cursor');
    expect(await detail('a%20b/objects', 400)).toContain('namespace');
  });

  it('shows once each what stays while objects come and go between the pages', async () => {
    const stay = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}`);
    await store('moving', ...stay.map((id) => object(id)), object('k05-goes'), object('k15-goes'));
    let n = 0;
    const seen = (
      await pages('moving', 3, async () => {
        n += 1;
        await store(
          'moving',
          object(`a-${n}`),
          object(`k${10 + n}-new`),
          deletion('k15-goes'),
          object('k07', { n }),
        );
      })
    ).flat();
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => stay.includes(id))).toEqual(stay);
    expect(seen).not.toContain('k15-goes');
  });

  it('ends a page before its objects come to more than 5 MiB, though not before its first', async () => {
    const megabytes = (n: number) => ({ text: 'a'.repeat(n * 1024 * 1024) });
    await store('large', object('a'), object('b', megabytes(9)), object('c', megabytes(2)));
    await store('large', object('d', megabytes(2)), object('e', megabytes(2)), object('f', megabytes(9)));
    expect(await pages('large', 500)).toEqual([['a'], ['b'], ['c', 'd'], ['e'], ['f']]);
    expect((await list('large/objects?id=f')).data).toHaveLength(1);
    expect((await list('large/objects?id=c&id=d&id=none')).data).toHaveLength(2);
    expect(await detail('large/objects?id=f&id=a', 413)).toContain('fewer');
    expect(await detail('large/objects?id=b&id=f', 413)).toContain('fewer');
  });

  it('reads HEAD, and answers other methods with 405', async () => {
    const head = await inlet.fetch('/v1/data/list/objects', { method: 'HEAD' });
    expect(head.status).toBe(200);
    const post = await inlet.fetch('/v1/data/list/objects', { method: 'POST', body: '{}' });
    expect(post.status).toBe(405);
    expect(post.headers.get('allow')).toBe('GET, HEAD');
  });
});

describe('GET objects?id=', () => {
  it('gives those that there are, also ids that no path can carry', async () => {
    const ids = ['.', '..', '/', 'a b', '+', '%2e', '?', '#', '&=', '😀'];
    await store('some', ...ids.map((id) => object(id)), object('gone'));
    await store('some', deletion('gone'));
    const asked = [...ids, 'gone', 'never', '', 'nul\0', '.'];
    const answer = await list(
      `some/objects?${new URLSearchParams(asked.map((id): [string, string] => ['id', id]))}`,
    );
    expect(answer.data.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(answer.next_cursor).toBeNull();
    expect((await list('some/objects?id=.')).data.map(({ id }) => id)).toEqual(['.']);
    expect(await list('some/objects?id=never')).toEqual({ data: [], next_cursor: null });
  });

  it('takes up to 100', async () => {
    const query = (count: number) => Array.from({ length: count }, (_, i) => `id=${i}`).join('&');
    expect(await list(`some/objects?${query(100)}`)).toEqual({ data: [], next_cursor: null });
    expect(await detail(`some/objects?${query(101)}`, 400)).toContain('at most 100');
  });
});

describe('GET revisions', () => {
  const path = (id: string, query = '') => `versions/objects/${encodeURIComponent(id)}/revisions${query}`;

  it('lists the versions, the newest first, also of an object that was deleted', async () => {
    const first = await inlet.write('versions', '{"data":{"id":"a/b","n":1}}');
    await inlet.done('versions', first);
    await inlet.done('versions', await inlet.write('versions', '{"data":{"id":"a/b","n":2}}'));
    await store('versions', object('x', { n: 1 }));
    await store('versions', deletion('x'));
    const { data, next_cursor: next } = await list<RevisionAnswer>(path('a/b'));
    expect(next).toBeNull();
    expect(data).toEqual([
      expect.objectContaining({ revision: 2, deleted: false, data: { id: 'a/b', n: 2 } }),
      {
        revision: 1,
        data: { id: 'a/b', n: 1 },
        deleted: false,
        request_id: first,
        accepted_at: (await inlet.status('versions', first)).accepted_at,
        updated_at: expect.stringMatching(/^\d{4}-.*\.\d{6}Z$/),
      },
    ]);
    const deleted = await list<RevisionAnswer>(path('x'));
    expect(deleted.data).toMatchObject([
      { revision: 2, deleted: true, data: null },
      { revision: 1, deleted: false, data: { n: 1 } },
    ]);
  });

  it('pages through them', async () => {
    for (let n = 1; n <= 5; n += 1) await store('versions', object('paged', { n }));
    const first = await list<RevisionAnswer>(path('paged', '?limit=2'));
    expect(first.data.map(({ revision }) => revision)).toEqual([5, 4]);
    const second = await list<RevisionAnswer>(path('paged', `?limit=3&cursor=${first.next_cursor}`));
    expect(second.data.map(({ revision }) => revision)).toEqual([3, 2, 1]);
    expect(second.next_cursor).toBeNull();
  });

  it('is 404 for an id that was never seen, and 400 for a cursor of another list', async () => {
    expect(await detail(path('never'), 404)).toContain('no object');
    expect(await detail('versions/objects/a%00/revisions', 404)).toContain('no object');
    const other = Buffer.from('some-id').toString('base64url');
    expect(await detail(path('paged', `?cursor=${other}`), 400)).toContain('cursor');
  });
});

it('every list shows data to the digit', async () => {
  const text =
    '{"id": "exact", "a": 9007199254740993, "b": 1.0, "c": 1.10, "__proto__": {"x": 1}, "": 123456789012345678901234567890.5}';
  await inlet.done('exact', await inlet.write('exact', `{"data":${text}}`));
  await inlet.done('exact', await inlet.write('exact', '{"data":{"id":"exact"}}'));
  await inlet.done('exact', await inlet.write('exact', `{"data":${text}}`));
  const [row] = await database.query<{ data: string }>({
    text: `SELECT data::text FROM inlet.objects WHERE namespace = 'exact'`,
  });
  for (const exact of [
    '9007199254740993',
    '1.0',
    '1.10',
    '"__proto__"',
    '123456789012345678901234567890.5',
  ]) {
    expect(row?.data).toContain(exact);
  }
  for (const path of ['objects', 'objects?id=exact', 'objects/exact']) {
    expect(await (await inlet.fetch(`/v1/data/exact/${path}`)).text()).toContain(`"data":${row?.data}`);
  }
  const versions = await (await inlet.fetch('/v1/data/exact/objects/exact/revisions')).text();
  expect(versions.split(`"data":${row?.data}`)).toHaveLength(3);
});
