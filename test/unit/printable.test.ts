import { expect, it } from 'vitest';
import { Screen } from '../../src/commands/terminal.ts';
import { oneLine, printable } from '../../src/domain/printable.ts';

/** Whatever steers a terminal, or makes it show other text than is there. */
const HOSTILE = [
  ['sets the clipboard', '\u001b]52;c;cm0gLXJm\u0007'],
  ['clears the screen', '\u001b[2J'],
  ['does so in one byte of C1', '\u009b2J'],
  ['ends a string of C1', '\u009d0;title\u009c'],
  ['goes back over the line', 'bad\rgood'],
  ['deletes', 'a\b\u007f'],
  ['turns the text around', '\u202egnp.exe'],
  ['isolates text', '\u2066a\u2069'],
  ['marks a direction', 'a\u200e\u200f\u061c'],
  ['ends a line of Unicode', 'a\u2028b\u2029c'],
  ['is not seen', 'a\u200b\u2060\ufeff\u00ad'],
  ['is not seen, in the supplementary planes', 'a\u{e0041}\u{e007f}'],
] as const;

it.each(HOSTILE)('text that %s is shown in escapes, and means the same as JSON', (_, text) => {
  const shown = printable(text);
  expect(shown).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(printable(JSON.stringify([text])))).toEqual([text]);
});

it('leaves what people write as it is', () => {
  for (const text of ['a\tb\n', 'Ä é 漢字 עברית فارسی', 'می\u200cخواهم', '👩\u200d💻 🏴', '\u{1f600}'])
    expect(printable(text)).toBe(text);
});

it('puts text of several lines on one', () => {
  expect(oneLine('a\r\nreq_1 succeeded\n\tb')).toBe('a req_1 succeeded b');
});

it('nothing else reaches a terminal, also where a line is drawn over itself', () => {
  const written: string[] = [];
  const screen = new Screen({ isTTY: true, columns: 30, write: (text) => written.push(text) });
  screen.write('\u001b[2J\n');
  screen.redraw('\u001b[2J');
  expect(written).toEqual(['\\u001b[2J\n', '\r\u001b[2K\\u001b[2J']);
});
