/** What the evaluator writes to its console, as lines of the log: written by itself it would stand between them. */
import type { Readable } from 'node:stream';
import { LineSplitter } from '../domain/lines.ts';

/** Longest line that is kept whole, in bytes. */
const MAX_LINE_BYTES = 16 * 1024;

/** Hands each line on that isn't blank; of one that is too long its beginning. */
export function forwardLines(from: Readable, write: (line: string) => void): void {
  const splitter = new LineSplitter(MAX_LINE_BYTES);
  from.on('data', (chunk: Buffer) => {
    for (const { text } of splitter.push(chunk)) write(text);
  });
  from.on('end', () => {
    for (const { text } of splitter.end()) write(text);
  });
}
