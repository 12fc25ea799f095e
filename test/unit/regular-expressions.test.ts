/** Every regular expression of the product takes linear time, whatever it is matched with. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst, transformWithEsbuild } from 'vite';
import { describe, expect, it } from 'vitest';
import { cpuMs } from '../support/cpu-time.ts';

const SOURCE = new URL('../../src/', import.meta.url).pathname;

/** Length of the texts, in UTF-16 code units: quadratic time for one is more than 100 ms, linear time less than one. */
const LENGTH = 10_000;
/** Those of runs that stay just below a count, which are not quadratic, are longer. */
const COUNTED_LENGTH = 200_000;

/** The most CPU time for one text, in milliseconds. */
const BOUND_MS = 30;

/** One of each kind of character that expressions tell apart. */
const CHARACTERS = [...'aAeé0_ \t\n\r\0/\\.,:;-+=!"\'()[]{}*%~@\u{1f600}'];

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

interface Found {
  readonly file: string;
  readonly pattern: string;
  readonly flags: string;
}

/** The regular expressions that stand in a file as literals. */
async function literalsOf(file: string): Promise<Found[]> {
  const { code } = await transformWithEsbuild(readFileSync(join(SOURCE, file), 'utf8'), file);
  const found: Found[] = [];
  JSON.stringify(parseAst(code), (_member, node: unknown) => {
    const { regex } = (node ?? {}) as { regex?: { pattern: string; flags: string } };
    if (regex) found.push({ file, ...regex });
    return typeof node === 'bigint' ? String(node) : node;
  });
  return found;
}

/** Texts that repeat what the expression may take for long, behind what it may begin with, and end as it doesn't. */
function* adversarialTexts(pattern: string): Generator<string> {
  const words = pattern.match(/[A-Za-z]{2,}/g) ?? [];
  const beginnings = ['', ...new Set([words[0] ?? '', words.join(''), `${words[0] ?? ''} `])];
  for (const beginning of beginnings) {
    for (const unit of [...CHARACTERS, ...words, 'a ', '0.', '\n--', ' ,']) {
      const text = beginning + unit.repeat(LENGTH / unit.length);
      yield text;
      yield `${text}\u0001`;
    }
  }
  for (const [, count] of pattern.matchAll(/\{(\d+)(?:,\d*)?\}/g)) {
    for (const character of '0aA_') {
      const run = `${character.repeat(Math.max(1, Number(count) - 1))}, `;
      yield run.repeat(COUNTED_LENGTH / run.length);
    }
  }
}

describe('takes linear time', async () => {
  const found = (await Promise.all(files.map(literalsOf))).flat();
  it.each(found)('$file: /$pattern/$flags', ({ pattern, flags }) => {
    const expression = new RegExp(pattern, flags);
    for (const text of adversarialTexts(pattern)) {
      const spent = cpuMs(() => text.replace(expression, ''), BOUND_MS);
      expect(spent, `${JSON.stringify(text.slice(0, 60))}… of ${text.length}`).toBeLessThan(BOUND_MS);
    }
  });

  it('finds them', () => expect(found.length).toBeGreaterThan(50));
});

it('no other expressions are made than those of a fixed form', () => {
  const making = files.filter((file) => readFileSync(join(SOURCE, file), 'utf8').includes('RegExp('));
  expect(making.sort()).toEqual(['domain/api-key.ts', 'queue/redis-memory.ts']);
});
