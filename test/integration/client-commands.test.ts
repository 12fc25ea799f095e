/** `inlet import` and `inlet requests`: what they do, print, and exit with. All they know of an Inlet is its API. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { runCommand } from '../support/command.ts';
import { inletTest } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

interface Outcome {
  readonly request_id: string;
  readonly status: string;
  readonly counts: { readonly objects: number; readonly stored: number; readonly failed: number };
}

const test = inletTest()
  .extend(
    'folder',
    { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
    async ({}, { onCleanup }) => {
      const folder = await mkdtemp(join(tmpdir(), 'inlet-import-'));
      onCleanup(() => rm(folder, { recursive: true }));
      return folder;
    },
  )
  .extend('run', { scope: 'file' }, ({ inlet }) => (args: string[], input?: string) => {
    return runCommand(args, { INLET_URL: inlet.url, INLET_API_KEY: KEY }, input);
  });

async function file(folder: string, name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe('inlet import', () => {
  test('uploads real records, follows them to the end, and they are read back as they were', async ({
    inlet,
    folder,
    run,
  }) => {
    const source = new URL('../../node_modules/vega-datasets/data/movies.json', import.meta.url);
    const movies = JSON.parse(await readFile(source, 'utf8')) as Record<string, unknown>[];
    const records = movies.map((movie, index) => ({ ...movie, id: `movie-${index}` }));
    const path = await file(
      folder,
      'movies.jsonl',
      records.map((record) => `${JSON.stringify(record)}\n`).join(''),
    );
    const { code, stdout, stderr } = await run(['import', path, '--namespace', 'movies']);
    expect(stderr).toContain('uploading');
    expect(stdout).toMatch(/^req_\w+ succeeded: 3,201 of 3,201 objects stored in movies, 0 failed\n$/);
    expect(code).toBe(0);
    for (let from = 0; from < records.length; from += 100) {
      const some = records.slice(from, from + 100);
      const query = some.map(({ id }) => `id=${id}`).join('&');
      const page = (await (await inlet.fetch(`/v1/data/movies/objects?${query}`)).json()) as {
        data: { id: string; data: unknown }[];
      };
      const found = new Map(page.data.map(({ id, data }) => [id, data]));
      expect(some.map(({ id }) => found.get(id))).toEqual(some);
    }
  });

  test('takes compressed files', async ({ inlet, folder, run }) => {
    const countries = createRequire(import.meta.url)('world-countries') as Record<string, unknown>[];
    const lines = countries.map((country) => JSON.stringify({ ...country, id: country['cca3'] }));
    const path = await file(folder, 'countries.jsonl.gz', gzipSync(lines.join('\n')));
    const { code, stdout } = await run(['import', path, '-n', 'countries', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout) as Outcome).toMatchObject({
      status: 'succeeded',
      counts: { objects: countries.length, stored: countries.length, failed: 0 },
    });
    expect((await inlet.object('countries', 'ISL'))?.data['region']).toBe('Europe');
  });

  test('takes standard input, names the first lines that failed, and exits with 1 for them', async ({
    inlet,
    run,
  }) => {
    const { code, stdout } = await run(
      ['import', '-', '-n', 'input'],
      '{"id":"a"}\n{bad\n{"id":""}\n{"id":"b"}\n',
    );
    expect(code).toBe(1);
    expect(stdout).toContain('failed: 2 of 4 objects stored in input, 2 failed');
    expect(stdout).toContain('line 2: is not valid JSON');
    expect(stdout).toContain('line 3');
    expect(await inlet.object('input', 'b')).toBeDefined();
  });

  test('says in one line why it cannot begin, and exits with 1', async ({ inlet, folder, run }) => {
    const missing = await run(['import', join(folder, 'missing'), '-n', 'x']);
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: Cannot read .*no such file\n$/),
    });
    const path = await file(folder, 'one.jsonl', '{"id":"a"}\n');
    const badKey = await runCommand(['import', path, '-n', 'x'], {
      INLET_URL: inlet.url,
      INLET_API_KEY: 'wrong',
    });
    expect(badKey).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: the server answered 401: .*\n$/),
    });
    const noKey = await runCommand(['import', path, '-n', 'x'], {
      INLET_URL: inlet.url,
      INLET_DATA_DIR: folder,
    });
    expect(noKey).toMatchObject({ code: 1, stderr: expect.stringContaining('INLET_API_KEY is not set') });
  });

  test('without a namespace is wrong usage: 2', async ({ run }) => {
    expect((await run(['import', 'x'])).code).toBe(2);
  });
});

describe('inlet requests', () => {
  test('list pages through the requests of a namespace, newest first, and picks by status', async ({
    inlet,
    run,
  }) => {
    const ids: string[] = [];
    for (const id of ['a', 'b', 'c']) ids.push(await inlet.write('listed', JSON.stringify({ data: { id } })));
    for (const id of ids) await inlet.done('listed', id);
    const { code, stdout } = await run(['requests', 'list', '-n', 'listed', '--limit', '2']);
    expect(code).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual([ids[2], ids[1], 'more:']);
    const cursor = lines[2]?.split(' ').at(-1) ?? '';
    const next = await run(['requests', 'list', '-n', 'listed', '--cursor', cursor, '--json']);
    expect((JSON.parse(next.stdout) as { data: Outcome[] }).data.map((one) => one.request_id)).toEqual([
      ids[0],
    ]);
    const failed = await run(['requests', 'list', '-n', 'listed', '--status', 'failed']);
    expect(failed.stdout).toBe('no requests\n');
  });

  test('show tells of one, and says where there is none', async ({ inlet, databaseUrl, run }) => {
    const requestId = await inlet.write('shown', '{"data":[{"id":"a"},{"id":"b"}]}');
    await inlet.done('shown', requestId);
    const { code, stdout } = await run(['requests', 'show', requestId, '-n', 'shown']);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(`^${requestId}  succeeded  2/2 stored, 0 failed  accepted .* completed .*\\n$`),
    );
    await query(
      databaseUrl,
      `INSERT INTO inlet.outputs (namespace, id, revision, error) VALUES ('shown', 'b', 1, 'Error: no licence')`,
    );
    const evaluated = await run(['requests', 'show', requestId, '-n', 'shown']);
    expect(evaluated.stdout.split('\n').slice(1)).toEqual([
      '  "b" is stored, and could not be evaluated: Error: no licence',
      '',
    ]);
    const { data } = JSON.parse(
      (await run(['requests', 'show', requestId, '-n', 'shown', '--json'])).stdout,
    ) as { data: { id: string; evaluation_error?: string }[] };
    expect(data.map(({ id, evaluation_error }) => [id, evaluation_error])).toEqual([
      ['a', undefined],
      ['b', 'Error: no licence'],
    ]);
    const none = await run(['requests', 'show', 'req_01h2m7qdmdjckc30e1mnq6xqfd', '-n', 'shown']);
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('404') });
  });

  test('show names what failed, a line that has no id by its number alone', async ({ folder, run }) => {
    const path = await file(folder, 'bad.jsonl', '{"id":"a"}\n{bad\n{"id":"a\\u0000"}\n');
    const { stdout } = await run(['import', path, '-n', 'bad']);
    const requestId = stdout.split(' ')[0] ?? '';
    const shown = (await run(['requests', 'show', requestId, '-n', 'bad'])).stdout.split('\n').slice(1);
    expect(shown[0]).toMatch(/^ {2}2: is not valid JSON/);
    expect(shown).toHaveLength(3);
  });

  test('show leaves out results that are too many for one answer, and says so', async ({ inlet, run }) => {
    const ids = Array.from({ length: 6_000 }, (_, i) => `${i}`.padStart(500, '-'));
    const requestId = await inlet.write('many', JSON.stringify({ data: ids.map((id) => ({ id })) }));
    await waitFor('the objects to be stored', () => inlet.object('many', ids[0] ?? ''));
    for (const more of [[], ['--json']]) {
      const { code, stdout, stderr } = await run(['requests', 'show', requestId, '-n', 'many', ...more]);
      expect(code).toBe(0);
      expect(stdout).toContain('succeeded');
      expect(stderr).toContain(`/v1/data/many/requests/${requestId}/results/download-url`);
    }
  });
});
