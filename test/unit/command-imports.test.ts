/** The command is quick because it loads what only the roles need with the roles. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const IMPORT = /^(?:import|export) (?!type )[^;]*?from '([^']+)';/gm;

/** The packages that a module loads with itself, over all modules that it imports. */
function packagesOf(url: URL, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  seen.add(url.href);
  for (const [, name = ''] of readFileSync(url, 'utf8').matchAll(IMPORT)) {
    if (name.startsWith('node:')) continue;
    const next = new URL(name, url);
    if (!name.startsWith('.')) packages.add(name);
    else if (!seen.has(next.href)) for (const found of packagesOf(next, seen)) packages.add(found);
  }
  return packages;
}

it('the command loads few packages before it knows what to do', () => {
  const packages = packagesOf(new URL('../../src/cli.ts', import.meta.url));
  expect([...packages].sort()).toEqual(['commander', 'ipaddr.js', 'zod']);
});

it('a role loads the others', () => {
  const packages = packagesOf(new URL('../../src/roles/api.ts', import.meta.url));
  expect([...packages]).toEqual(expect.arrayContaining(['bullmq', 'fastify', 'pg']));
});
