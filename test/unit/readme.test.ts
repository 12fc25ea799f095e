/** The README's table of settings is the one that the code has. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/settings.ts';

// Columns may be aligned.
const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replace(/ +/g, ' ');

it.each(Object.values(SETTINGS).map((setting) => [setting.variable, setting] as const))(
  'the README tells of %s what the code does',
  (variable, setting) => {
    const shown = setting.default === undefined ? 'unset' : `\`${setting.default}\``;
    expect(readme).toContain(`| \`${variable}\` | ${shown} | ${setting.description} |`);
  },
);
