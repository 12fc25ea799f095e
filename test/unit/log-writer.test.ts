/** The log on its way out: into files, and into pipes that are read slowly, late or not at all. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogWriter } from '../../src/telemetry/log-writer.ts';
import { waitFor } from '../support/wait-for.ts';

describe('into a file', () => {
  let folder: string;
  let fd: number;
  let writer: LogWriter;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'inlet-log-'));
    fd = openSync(join(folder, 'log'), 'a');
    writer = new LogWriter(fd);
  });

  afterEach(() => {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });

  const written = (): string => readFileSync(join(folder, 'log'), 'utf8');

  it('lines come by themselves, in their order, though nothing else happens', async () => {
    writer.write('one\n');
    writer.write('zwölf\n');
    expect(written()).toBe('');
    await waitFor('the lines', () => written() === 'one\nzwölf\n');
    writer.write('three\n');
    await waitFor('the next line', () => written() === 'one\nzwölf\nthree\n');
  });

  it('many of them come whole', async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i} ${'x'.repeat(50)}\n`);
    for (const [i, line] of lines.entries()) {
      writer.write(line);
      if (i % 1_000 === 0) await new Promise(setImmediate);
    }
    await waitFor('all lines', () => written().length === lines.join('').length);
    expect(written()).toBe(lines.join(''));
  });

  it('a flush writes what is left before it returns', () => {
    writer.write('last\n');
    writer.flushSync();
    expect(written()).toBe('last\n');
    writer.flushSync();
    expect(written()).toBe('last\n');
  });
});

it.skipIf(!existsSync('/dev/full'))('a place that cannot be written to ends nothing', async () => {
  const fd = openSync('/dev/full', 'w');
  const writer = new LogWriter(fd);
  writer.write('lost\n');
  await new Promise((resolve) => {
    setTimeout(resolve, 200);
  });
  writer.write('lost too\n');
  writer.flushSync();
  closeSync(fd);
});

/** A process that writes to its standard output as the log does, and tells on its standard error when it is done. */
function writing(script: string) {
  const writer = new URL('../../dist/telemetry/log-writer.js', import.meta.url).href;
  const program = `
    import { LogWriter } from ${JSON.stringify(writer)};
    let dropped = 0;
    const log = new LogWriter(1, (lines) => { dropped += lines; });
    process.once('exit', () => log.flushSync());
    ${script}`;
  return spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function collect(child: ReturnType<typeof writing>): Promise<string> {
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  await once(child, 'close');
  return text;
}

describe('into a pipe', () => {
  it.each([
    ['ends by itself', ''],
    ['is ended', 'process.exit(0);'],
    ['is ended in the middle of writing', 'setTimeout(() => process.exit(0), 101);'],
    ['fails', 'throw new Error();'],
  ])('all lines come when the process %s', async (_, end) => {
    const lines = "for (let i = 0; i < 3000; i += 1) log.write(i + ' ' + 'x'.repeat(50) + '\\n');";
    const text = await collect(writing(`${lines} ${end}`));
    expect(
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => Number(line.split(' ')[0])),
    ).toEqual(Array.from({ length: 3_000 }, (_, i) => i));
  });

  it('that is read late, nothing waits, and nothing is lost', async () => {
    const child = writing(`
      for (let i = 0; i < 20_000; i += 1) log.write(i + ' ' + 'x'.repeat(50) + '\\n');
      setTimeout(() => process.stderr.write('goes on'), 300);
      setTimeout(() => {}, 3_000);`);
    const [said] = await once(child.stderr, 'data');
    expect(String(said)).toBe('goes on');
    const text = await collect(child);
    expect(text.split('\n')).toHaveLength(20_001);
  });

  it('that nobody reads, lines are dropped rather than kept for ever, and it is told how many', async () => {
    const child = writing(`
      const line = 'x'.repeat(999) + '\\n';
      for (let i = 0; i < 30_000; i += 1) { log.write(line); if (i % 100 === 0) await new Promise(setImmediate); }
      process.stderr.write('done');
      const end = setInterval(() => { if (dropped > 0) { process.stderr.write(String(dropped)); clearInterval(end); } }, 20);`);
    const [said] = await once(child.stderr, 'data');
    expect(String(said)).toBe('done');
    const told = once(child.stderr, 'data');
    const text = await collect(child);
    const dropped = Number(String((await told)[0]));
    expect(dropped).toBeGreaterThan(0);
    expect(text.length / 1_000 + dropped).toBe(30_000);
  });
});
