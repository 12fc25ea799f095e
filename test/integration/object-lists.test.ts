/** Lists of objects and of their versions, over HTTP. */
import { describe, expect } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import type { ObjectAnswer, ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { deletion } from '../support/store.ts';

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

type Store = (namespace: string, ...objects: (readonly [string, string])[]) => Promise<void>;

const test = inletTest()
  // Stores objects, or deletes, behind the API.
  .extend('put', { scope: 'file' }, ({ store: { database } }): Store => {
    let time = 0;
    return async (namespace, ...objects) => {
      time += 1;
      await storeBatch(database, handMadeBatch(time, [{ namespace, objects }]));
    };
  });

async function list<Item = ObjectAnswer>(inlet: TestInlet, path: string): Promise<ListAnswer<Item>> {
  const response = await inlet.fetch(`/v1/data/${path}`);
  const text = await response.text();
  expect(response.status, text).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  return JSON.parse(text) as ListAnswer<Item>;
}

async function detail(inlet: TestInlet, path: string, status: number): Promise<string> {
  const response = await inlet.fetch(`/v1/data/${path}`);
  expect(response.status).toBe(status);
  return ((await response.json()) as ProblemAnswer).detail;
}

/** The ids of all pages. */
async function pages(
  inlet: TestInlet,
  namespace: string,
  limit: number,
  between = async () => {},
): Promise<string[][]> {
  const found: string[][] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const query: string = cursor && `&cursor=${cursor}`;
    const page: ListAnswer<ObjectAnswer> = await list(inlet, `${namespace}/objects?limit=${limit}${query}`);
    found.push(page.data.map(({ id }) => id));
    cursor = page.next_cursor;
    await between();
  }
  return found;
}

describe('GET objects', () => {
  test('lists what is stored in the shape of a single object, by id, without what was deleted', async ({
    inlet,
    put,
  }) => {
    await put('list', object('b', { n: 1 }), object('a'), object('é'), object('B'), object('c'));
    await put('list', deletion('c'), deletion('unknown'));
    await put('other', object('z'));
    const answer = await list(inlet, 'list/objects');
    expect(answer.data.map(({ id }) => id)).toEqual(['B', 'a', 'b', 'é']);
    expect(answer.next_cursor).toBeNull();
    expect(answer.data[2]).toEqual(await inlet.object('list', 'b'));
    expect(await list(inlet, 'nothing/objects')).toEqual({ data: [], next_cursor: null });
  });

  test('goes through pages, the last one with no cursor also where it is full', async ({ inlet, put }) => {
    const ids = Array.from({ length: 10 }, (_, i) => `id-${i}`);
    await put('pages', ...ids.map((id) => object(id)));
    expect(await pages(inlet, 'pages', 5)).toEqual([ids.slice(0, 5), ids.slice(5)]);
    expect((await pages(inlet, 'pages', 4)).map((page) => page.length)).toEqual([4, 4, 2]);
    expect(await pages(inlet, 'pages', 500)).toEqual([ids]);
  });

  test('has 50 to a page unless asked, at most 500, and refuses what is no limit or cursor', async ({
    inlet,
    put,
  }) => {
    await put('many', ...Array.from({ length: 60 }, (_, i) => object(`id-${i}`)));
    expect((await list(inlet, 'many/objects')).data).toHaveLength(50);
    expect(await detail(inlet, 'many/objects?limit=501', 400)).toContain('limit');
    expect(await detail(inlet, 'many/objects?limit=0', 400)).toContain('limit');
    expect(await detail(inlet, 'many/objects?cursor=*', 400)).toContain('cursor');
    expect(await detail(inlet, 'many/objects?cursor=AA', 400)).toContain('cursor');
    expect(await detail(inlet, 'a%20b/objects', 400)).toContain('namespace');
  });

  test('shows once each what stays while objects come and go between the pages', async ({ inlet, put }) => {
    const stay = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}`);
    await put('moving', ...stay.map((id) => object(id)), object('k05-goes'), object('k15-goes'));
    let n = 0;
    const seen = (
      await pages(inlet, 'moving', 3, async () => {
        n += 1;
        await put(
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

  test('ends a page before its objects come to more than 5 MiB, though not before its first', async ({
    inlet,
    put,
  }) => {
    const megabytes = (n: number) => ({ text: 'a'.repeat(n * 1024 * 1024) });
    await put('large', object('a'), object('b', megabytes(9)), object('c', megabytes(2)));
    await put('large', object('d', megabytes(2)), object('e', megabytes(2)), object('f', megabytes(9)));
    expect(await pages(inlet, 'large', 500)).toEqual([['a'], ['b'], ['c', 'd'], ['e'], ['f']]);
    expect((await list(inlet, 'large/objects?id=f')).data).toHaveLength(1);
    expect((await list(inlet, 'large/objects?id=c&id=d&id=none')).data).toHaveLength(2);
    expect(await detail(inlet, 'large/objects?id=f&id=a', 413)).toContain('fewer');
    expect(await detail(inlet, 'large/objects?id=b&id=f', 413)).toContain('fewer');
  });

  test('reads HEAD, and answers other methods with 405', async ({ inlet }) => {
    const head = await inlet.fetch('/v1/data/list/objects', { method: 'HEAD' });
    expect(head.status).toBe(200);
    const post = await inlet.fetch('/v1/data/list/objects', { method: 'POST', body: '{}' });
    expect(post.status).toBe(405);
    expect(post.headers.get('allow')).toBe('GET, HEAD');
  });
});

describe('GET objects?id=', () => {
  test('gives those that there are, also ids that no path can carry', async ({ inlet, put }) => {
    const ids = ['.', '..', '/', 'a b', '+', '%2e', '?', '#', '&=', '😀'];
    await put('some', ...ids.map((id) => object(id)), object('gone'));
    await put('some', deletion('gone'));
    const asked = [...ids, 'gone', 'never', '', 'nul\0', '.'];
    const answer = await list(
      inlet,
      `some/objects?${new URLSearchParams(asked.map((id): [string, string] => ['id', id]))}`,
    );
    expect(answer.data.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(answer.next_cursor).toBeNull();
    expect((await list(inlet, 'some/objects?id=.')).data.map(({ id }) => id)).toEqual(['.']);
    expect(await list(inlet, 'some/objects?id=never')).toEqual({ data: [], next_cursor: null });
  });

  test('takes up to 100', async ({ inlet }) => {
    const query = (count: number) => Array.from({ length: count }, (_, i) => `id=${i}`).join('&');
    expect(await list(inlet, `some/objects?${query(100)}`)).toEqual({ data: [], next_cursor: null });
    expect(await detail(inlet, `some/objects?${query(101)}`, 400)).toContain('at most 100');
  });
});

describe('GET revisions', () => {
  const path = (id: string, query = '') => `versions/objects/${encodeURIComponent(id)}/revisions${query}`;

  test('lists the versions, the newest first, also of an object that was deleted', async ({ inlet, put }) => {
    const first = await inlet.write('versions', '{"data":{"id":"a/b","n":1}}');
    await inlet.done('versions', first);
    await inlet.done('versions', await inlet.write('versions', '{"data":{"id":"a/b","n":2}}'));
    await put('versions', object('x', { n: 1 }));
    await put('versions', deletion('x'));
    const { data, next_cursor: next } = await list<RevisionAnswer>(inlet, path('a/b'));
    expect(next).toBeNull();
    const { accepted_at, stamp } = await inlet.status('versions', first);
    expect(data).toEqual([
      expect.objectContaining({ revision: 2, deleted: false, data: { id: 'a/b', n: 2 } }),
      {
        revision: 1,
        data: { id: 'a/b', n: 1 },
        deleted: false,
        request_id: first,
        ...{ accepted_at, stamp },
        updated_at: expect.stringMatching(/^\d{4}-.*\.\d{6}Z$/),
      },
    ]);
    const deleted = await list<RevisionAnswer>(inlet, path('x'));
    expect(deleted.data).toMatchObject([
      { revision: 2, deleted: true, data: null },
      { revision: 1, deleted: false, data: { n: 1 } },
    ]);
  });

  test('pages through them', async ({ inlet, put }) => {
    for (let n = 1; n <= 5; n += 1) await put('versions', object('paged', { n }));
    const first = await list<RevisionAnswer>(inlet, path('paged', '?limit=2'));
    expect(first.data.map(({ revision }) => revision)).toEqual([5, 4]);
    const second = await list<RevisionAnswer>(inlet, path('paged', `?limit=3&cursor=${first.next_cursor}`));
    expect(second.data.map(({ revision }) => revision)).toEqual([3, 2, 1]);
    expect(second.next_cursor).toBeNull();
  });

  test('is 404 for an id that was never seen, and 400 for a cursor of another list', async ({ inlet }) => {
    expect(await detail(inlet, path('never'), 404)).toContain('no object');
    expect(await detail(inlet, 'versions/objects/a%00/revisions', 404)).toContain('no object');
    const other = Buffer.from('some-id').toString('base64url');
    expect(await detail(inlet, path('paged', `?cursor=${other}`), 400)).toContain('cursor');
  });
});

test('every list shows data to the digit', async ({ inlet, store: { database } }) => {
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
