/** The chunks of an import: what one batch carries of its file. */
import type { RejectedLine } from './batch.ts';
import type { Line } from './lines.ts';
import type { ReadObject } from './objects.ts';
import { readObject } from './objects.ts';
import { beginningOf, storableText } from './storable.ts';

const MAX_CHUNK_LINES = 1_000;
/** A larger line gets a chunk to itself. */
export const MAX_CHUNK_BYTES = 1024 * 1024;

/** How much of a bad line is kept, in UTF-16 code units. */
const KEPT_LENGTH = 4 * 1024;

/** The parallel lists `ids` and `lines` are of its objects, in the order of the file. */
export interface Chunk {
  readonly ids: readonly string[];
  readonly lines: readonly number[];
  /** The objects' JSON text, separated by commas. */
  readonly objects: string;
  readonly rejected: readonly RejectedLine[];
}

/** Reads the object on a line. @returns as `readObject` */
export function readLine({ text, mistake }: Line): ReadObject | Promise<ReadObject> {
  return mistake === undefined ? readObject(text) : { id: '', mistake };
}

/** Gathers lines until there are enough for a chunk. */
export class ChunkBuilder {
  #ids: string[] = [];
  #lines: number[] = [];
  #texts: string[] = [];
  #rejected: RejectedLine[] = [];
  #bytes = 0;

  /** Takes a line and what {@link readLine} found in it, and returns the chunk that ends before it, if one does. */
  add(line: Line, { id, mistake }: ReadObject): Chunk | undefined {
    const bytes = mistake === undefined ? line.bytes : Math.min(line.bytes, KEPT_LENGTH);
    const full = this.#count === MAX_CHUNK_LINES || this.#bytes + bytes > MAX_CHUNK_BYTES;
    const chunk = full ? this.take() : undefined;
    this.#bytes += bytes;
    if (mistake === undefined) {
      this.#ids.push(id);
      this.#lines.push(line.number);
      this.#texts.push(line.text);
    } else {
      const text = storableText(beginningOf(line.text, KEPT_LENGTH));
      this.#rejected.push({ line: line.number, id: storableText(id), text, message: storableText(mistake) });
    }
    return chunk;
  }

  /** The chunk of what has been gathered; undefined where that is nothing. */
  take(): Chunk | undefined {
    if (this.#count === 0) return undefined;
    const chunk = {
      ids: this.#ids,
      lines: this.#lines,
      objects: this.#texts.join(','),
      rejected: this.#rejected,
    };
    this.#ids = [];
    this.#lines = [];
    this.#texts = [];
    this.#rejected = [];
    this.#bytes = 0;
    return chunk;
  }

  get #count(): number {
    return this.#ids.length + this.#rejected.length;
  }
}
