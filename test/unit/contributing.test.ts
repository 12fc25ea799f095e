/** What CONTRIBUTING.md says about tests and commands is so. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const text = read('CONTRIBUTING.md');
const tests = readdirSync(new URL('..', import.meta.url), { recursive: true, encoding: 'utf8' });

const rows = text.split('\n').filter((line) => /^\| (?!---|promise|\*\*)/.test(line));
const promises = rows.filter((row) => row.split('|').length === 5 && /`(?:unit|integration)\//.test(row));

/** The files of tests that a cell names, as paths below test/ without their endings; `*` stands for anything. */
function named(row: string, cell: number, folder: string): string[] {
  const names = [...(row.split('|')[cell] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? '');
  return names.map((name) => (name.includes('/') ? name : `${folder}/${name}`));
}

function exists(name: string): boolean {
  if (name.endsWith('.ts')) return tests.includes(name);
  return tests.some((path) => patternOf(name).test(path));
}

function patternOf(name: string): RegExp {
  return new RegExp(`^${name.replaceAll('*', '[^/]*')}\\.test\\.ts$`);
}

it.each(promises.map((row) => [row.split('|')[1]?.trim(), row] as const))(
  'the tests that are named for "%s" are there',
  (_promise, row) => {
    const files = [...named(row, 2, 'test'), ...named(row, 3, 'deep')];
    expect(files.filter((file) => !exists(file))).toEqual([]);
  },
);

it('names every file of integration and deep tests', () => {
  const patterns = promises
    .flatMap((row) => [...named(row, 2, 'test'), ...named(row, 3, 'deep')])
    .map(patternOf);
  const files = tests.filter((path) => /^(?:integration|deep)\/.*\.test\.ts$/.test(path));
  expect(files.length).toBeGreaterThan(50);
  expect(files.filter((file) => !patterns.some((pattern) => pattern.test(file)))).toEqual([]);
});

it('names only scripts that there are', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const all = [...text.matchAll(/npm run ([a-z][a-z:-]*)/g)].map(([, name]) => name ?? '');
  expect(all.length).toBeGreaterThan(5);
  expect(all.filter((name) => !(name in scripts))).toEqual([]);
});
