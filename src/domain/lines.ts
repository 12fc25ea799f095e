/** Lines out of a stream of bytes, with flat memory however long a line is. */
import { isUtf8 } from 'node:buffer';
import { Pieces } from './pieces.ts';

const LINE_FEED = 0x0a;

/** How much of a line that can't be read is kept to be shown, in bytes. */
const SHOWN_BYTES = 4 * 1024;

/** A line that isn't blank. */
export interface Line {
  /** From 1; blank lines count. */
  readonly number: number;
  /** The line without white space around it; only its beginning where `mistake` says why it can't be read. */
  readonly text: string;
  readonly bytes: number;
  readonly mistake: string | undefined;
}

/** Cuts bytes at line ends (`\n` or `\r\n`). */
export class LineSplitter {
  readonly #limit: number;
  /** What has come of the line that isn't at its end yet; of one that is too long only the beginning. */
  readonly #parts: Pieces;
  #bytes = 0;
  #number = 0;

  /** @param limit most bytes of a line */
  constructor(limit: number) {
    this.#limit = limit;
    this.#parts = new Pieces(Math.max(limit, SHOWN_BYTES));
  }

  /** How many bytes are kept of the line that isn't at its end yet. */
  get kept(): number {
    return this.#parts.length;
  }

  /** Takes what comes next, and returns the lines that end in it. */
  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      this.#take(chunk.subarray(start, end));
      this.#endLine(lines);
      start = end + 1;
    }
    this.#take(chunk.subarray(start));
    return lines;
  }

  /** Returns the last line where no line end follows it. */
  end(): Line[] {
    const lines: Line[] = [];
    if (this.#bytes > 0) this.#endLine(lines);
    return lines;
  }

  #take(part: Buffer): void {
    if (part.length === 0) return;
    const before = this.#bytes;
    this.#bytes += part.length;
    if (this.#bytes <= this.#limit) {
      this.#parts.push(part);
    } else if (before <= this.#limit) {
      // A copy: what came with it need not be kept in memory until the line ends.
      const beginning = Buffer.concat([this.#parts.join(), part]).subarray(0, SHOWN_BYTES);
      this.#parts.clear();
      this.#parts.push(Buffer.from(beginning));
    }
  }

  #endLine(lines: Line[]): void {
    this.#number += 1;
    // A file may be megabytes of these.
    if (this.#bytes === 0) return;
    const line = this.#read();
    this.#parts.clear();
    this.#bytes = 0;
    if (line) lines.push(line);
  }

  #read(): Line | undefined {
    const number = this.#number;
    const bytes = this.#bytes;
    const content = this.#parts.join();
    if (bytes > this.#limit) {
      return { number, bytes, text: content.toString(), mistake: `is longer than ${this.#limit} bytes` };
    }
    if (!isUtf8(content)) {
      const text = content.subarray(0, SHOWN_BYTES).toString();
      return { number, bytes, text, mistake: 'is not valid UTF-8' };
    }
    // Takes the carriage return away too, and the byte order mark that a file may begin with.
    const text = content.toString().trim();
    return text === '' ? undefined : { number, bytes, text, mistake: undefined };
  }
}
