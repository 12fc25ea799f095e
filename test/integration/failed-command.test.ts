/** `inlet failed`: what it does, prints, and exits with. All it knows of an Inlet is its API. */
import { describe, expect } from 'vitest';
import { runCommand } from '../support/command.ts';
import { inletTest } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import type { TestInlet } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';

const test = inletTest({ prepare: prepareRefusals }).extend(
  'run',
  { scope: 'file' },
  ({ inlet }) =>
    (...args: string[]) =>
      runCommand(['failed', ...args], { INLET_URL: inlet.url, INLET_API_KEY: KEY }),
);

test.beforeEach(({ databaseUrl }) => refuse(databaseUrl, 'now'));

/** Writes objects of which all are refused. */
async function fail(inlet: TestInlet, namespace: string, ...ids: string[]): Promise<string> {
  const data = ids.map((id) => ({ id, refuse: 'now' }));
  const requestId = await inlet.write(namespace, JSON.stringify({ data }));
  await inlet.done(namespace, requestId);
  return requestId;
}

describe('inlet failed', () => {
  test('list prints a line for each, and pages; show prints the text as it was sent', async ({
    inlet,
    run,
  }) => {
    const requestId = await fail(inlet, 'cli', 'a', 'b');
    const all = await run('list', '-n', 'cli');
    expect(all).toMatchObject({ code: 0, stderr: '' });
    expect(all.stdout.split('\n')[0]).toMatch(
      new RegExp(`^${requestId} 0 {2}"a" {2}23514 {2}failed \\S+Z: refused because of now$`),
    );
    const page = await run('list', '-n', 'cli', '--limit', '1', '--request', requestId);
    const cursor = page.stdout.trim().split(' ').at(-1) ?? '';
    const next = await run('list', '-n', 'cli', '--cursor', cursor, '--json');
    expect(JSON.parse(next.stdout)).toMatchObject({ data: [{ index: 1, id: 'b' }], next_cursor: null });
    expect((await run('list', '-n', 'nothing')).stdout).toBe('no failed objects\n');

    const shown = await run('show', requestId, '1', '-n', 'cli');
    expect(shown.code).toBe(0);
    expect(shown.stdout.split('\n')[1]).toBe('{"id":"b","refuse":"now"}');
    const json = await run('show', requestId, '1', '-n', 'cli', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ text: '{"id":"b","refuse":"now"}' });
    const none = await run('show', requestId, '7', '-n', 'cli');
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^inlet: the server answered 404: .*\n$/),
    });
  });

  test('shows hostile text in escapes: it steers no terminal and is no line of its own', async ({
    inlet,
    run,
  }) => {
    const hostile = '\u001b]52;c;Y3A=\u0007\u009b2J\u202e\nreq_0 forged';
    const bad = `${hostile.replaceAll('\n', '\r')} {`;
    const requestId = await inlet.write(
      'hostile',
      JSON.stringify({ data: [{ id: hostile, refuse: 'now' }] }),
    );
    await inlet.done('hostile', requestId);
    const imported = await importFile(
      inlet,
      'hostile',
      `${bad}\n{"id": ${JSON.stringify(hostile)}, "refuse": "now"}\n`,
    );
    const requests = (...args: string[]) =>
      runCommand(['requests', ...args], { INLET_URL: inlet.url, INLET_API_KEY: KEY });
    const outputs = await Promise.all([
      run('list', '-n', 'hostile'),
      run('list', '-n', 'hostile', '--json'),
      run('show', imported, '1', '-n', 'hostile'),
      run('show', imported, '1', '-n', 'hostile', '--json'),
      run('show', imported, '2', '-n', 'hostile'),
      requests('show', requestId, '-n', 'hostile'),
      requests('show', imported, '-n', 'hostile', '--json'),
      requests('show', hostile, '-n', hostile),
    ]);
    for (const { stdout, stderr } of outputs) {
      expect(stdout + stderr).not.toMatch(/[^\n\P{C}]/u);
      expect(stdout + stderr).not.toMatch(/^req_0 forged/m);
    }
    expect(JSON.parse(outputs[1].stdout)).toMatchObject({
      data: expect.arrayContaining([expect.objectContaining({ id: hostile })]),
    });
  });

  test('replay waits until all is stored, and exits with 1 where some has failed again', async ({
    inlet,
    databaseUrl,
    run,
  }) => {
    const requestId = await fail(inlet, 'again', 'a', 'b', 'c');
    await importFile(inlet, 'again', '{bad\n');
    const vain = await run('replay', requestId, '-n', 'again', '--wait');
    expect(vain).toMatchObject({
      code: 1,
      stdout: 'again: 0 of 3 stored, 3 failed again\n',
    });
    await refuse(databaseUrl);
    const one = await run('replay', requestId, '1', '-n', 'again', '--wait', '--json');
    expect(one.code).toBe(0);
    expect(JSON.parse(one.stdout)).toMatchObject({ objects: 1, stored: 1, failed: 0, order: 'original' });
    const rest = await run('replay', '--all', '-n', 'again', '--wait', '--order', 'now');
    expect(rest.code).toBe(0);
    expect(rest.stdout).toMatch(/^again: 2 of 2 stored, 0 failed again; not replayable/);
    expect(await inlet.status('again', requestId)).toMatchObject({ status: 'succeeded' });
    const unwaited = await run('replay', '--all', '-n', 'elsewhere');
    expect(unwaited).toMatchObject({ code: 0, stdout: 'elsewhere: 0 to be replayed\n' });
  });

  test('replay of nothing but what can never be stored exits with 1', async ({ inlet, run }) => {
    const requestId = await importFile(inlet, 'unusable', '{bad\n{"id":""}\n');
    await inlet.done('unusable', requestId);
    const why = '; not replayable, because they hold no object that can be stored: 2\n';
    expect(await run('replay', '--all', '-n', 'unusable', '--wait')).toMatchObject({
      code: 1,
      stdout: `unusable: 0 of 0 stored, 0 failed again${why}`,
    });
    expect(await run('replay', requestId, '-n', 'unusable')).toMatchObject({
      code: 1,
      stdout: `unusable: 0 to be replayed${why}`,
    });
  });

  test('replay of one waits for that one, however many others of its request have failed', async ({
    inlet,
    databaseUrl,
    run,
  }) => {
    const ids = Array.from({ length: 600 }, (_, i) => `o${i}`);
    const requestId = await fail(inlet, 'many', ...ids);
    const vain = await run('replay', requestId, '599', '-n', 'many', '--wait');
    expect(vain).toMatchObject({ code: 1, stdout: 'many: 0 of 1 stored, 1 failed again\n' });
    await refuse(databaseUrl);
    for (const index of ['0', '599']) {
      const one = await run('replay', requestId, index, '-n', 'many', '--wait');
      expect(one).toMatchObject({ code: 0, stdout: 'many: 1 of 1 stored, 0 failed again\n' });
    }
  });

  test('discard takes one, those of a request, or all', async ({ inlet, run }) => {
    const [first, second] = [await fail(inlet, 'gone', 'a', 'b'), await fail(inlet, 'gone', 'c')];
    expect(await run('discard', first, '0', '-n', 'gone')).toMatchObject({
      code: 0,
      stdout: 'gone: 1 discarded\n',
    });
    const ofSecond = await run('discard', second, '-n', 'gone', '--json');
    expect(JSON.parse(ofSecond.stdout)).toEqual({ discarded: 1 });
    expect((await run('discard', '--all', '-n', 'gone')).stdout).toBe('gone: 1 discarded\n');
    expect((await run('list', '-n', 'gone')).stdout).toBe('no failed objects\n');
  });

  test.for([
    ['replay that does not say which', ['replay', '-n', 'x']],
    ['replay of one and of all', ['replay', 'req_01h2m7qdmdjckc30e1mnq6xqfd', '--all', '-n', 'x']],
    ['discard that does not say which', ['discard', '-n', 'x']],
    ['replay in an order that there is not', ['replay', '--all', '-n', 'x', '--order', 'later']],
    ['list without a namespace', ['list']],
    ['show without a place', ['show', 'req_01h2m7qdmdjckc30e1mnq6xqfd', '-n', 'x']],
  ] as const)('a %s is wrong usage: 2', async ([_what, args], { run }) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toContain('error: ');
  });

  test.for(['list', 'show', 'replay', 'discard'])('%s has help', async (command, { run }) => {
    const { code, stdout } = await run(command, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('--namespace');
  });
});
