import { expect, it } from 'vitest';
import { readPage } from '../../src/http/paging.ts';

it.each(['0', '501', '-1', '1.5', 'ten', ''])(
  'a limit of %j is refused with those that there are',
  (limit) => {
    expect(() => readPage({ limit })).toThrow(
      /^query parameter limit: must be a whole number from 1 to 500$/,
    );
  },
);

it.each([
  [undefined, 50],
  ['1', 1],
  ['500', 500],
])('a limit of %j is taken', (limit, read) => {
  expect(readPage({ limit }).limit).toBe(read);
});
