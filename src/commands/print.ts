/** How commands print what the API answers: as it is for programs, or in lines for people. */
import { oneLine } from '../domain/printable.ts';
import type { Screen } from './terminal.ts';

/** A page of a list. */
export interface ListAnswer<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

/** Prints JSON on a line of its own. */
export function printJson(value: unknown, stdout: Screen): void {
  stdout.write(`${JSON.stringify(value)}\n`);
}

/**
 * Prints a page.
 * @param line an entry in words
 * @param none what is said where there is no entry
 */
export function printPage<Item>(
  page: ListAnswer<Item>,
  { json, line, none }: { json: boolean; line: (item: Item) => string; none: string },
  stdout: Screen,
): void {
  if (json) {
    printJson(page, stdout);
    return;
  }
  for (const item of page.data) stdout.write(`${oneLine(line(item))}\n`);
  if (page.data.length === 0) stdout.write(`${none}\n`);
  if (page.next_cursor) stdout.write(`more: --cursor ${page.next_cursor}\n`);
}

/** A path with those query parameters that there are. */
export function withQuery(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}
