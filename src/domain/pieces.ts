/**
 * Bytes that come in pieces, gathered without waste. Each piece takes a few hundred bytes of memory beside its content,
 * and clients may send as many as they like (a chunk of HTTP can be one byte): 10 MB of such pieces would take
 * gigabytes. So small ones are put together as they come, and what has become large goes into memory of its own, which
 * is given back at once when it isn't needed any more; the garbage collector would leave hundreds of megabytes lie.
 */

/** Smaller pieces than this are put together, in bytes. */
const SMALL = 1024;

/** This many of them at once, so that each byte is copied once and not again and again. */
const SMALL_AT_ONCE = 1024;

/** From this size on it is large, in bytes; the memory for it grows in steps of the same size. */
const LARGE = 256 * 1024;

/** The types are those of an older JavaScript than Node 20 has. */
type ResizableBuffer = ArrayBuffer & { readonly maxByteLength: number; resize(bytes: number): void };
const ResizableBuffer = ArrayBuffer as unknown as new (
  bytes: number,
  options: { readonly maxByteLength: number },
) => ResizableBuffer;

export class Pieces {
  readonly #most: number;
  #pieces: Buffer[] = [];
  /** How many of the last pieces are small ones. */
  #small = 0;
  #large: LargePiece | undefined;
  #length = 0;

  /** @param most so many bytes will come at most */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes that have come. */
  get length(): number {
    return this.#length;
  }

  push(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length >= LARGE) {
      this.#large ??= new LargePiece(this.#most, this.#pieces.splice(0));
      this.#large.append(piece);
    } else {
      this.#pieces.push(piece);
      this.#small = piece.length < SMALL ? this.#small + 1 : 0;
      if (this.#small === SMALL_AT_ONCE) this.#putTogether();
    }
    this.#length = length;
  }

  /** All bytes as one piece, to be used before {@link clear} only. */
  join(): Buffer {
    if (this.#large) return this.#large.all();
    const [first = Buffer.alloc(0)] = this.#pieces;
    return this.#pieces.length > 1 ? Buffer.concat(this.#pieces, this.#length) : first;
  }

  /** Forgets everything, and gives the memory back. */
  clear(): void {
    this.#large?.free();
    this.#large = undefined;
    this.#pieces = [];
    this.#small = 0;
    this.#length = 0;
  }

  #putTogether(): void {
    this.#pieces.push(Buffer.concat(this.#pieces.splice(-SMALL_AT_ONCE)));
    this.#small = 0;
  }
}

class LargePiece {
  readonly #memory: ResizableBuffer;
  /** Grows with the memory. */
  readonly #bytes: Uint8Array;
  #length = 0;

  constructor(most: number, pieces: readonly Buffer[]) {
    this.#memory = new ResizableBuffer(0, { maxByteLength: most });
    this.#bytes = new Uint8Array(this.#memory);
    for (const piece of pieces) this.append(piece);
  }

  append(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#memory.byteLength) {
      const wanted = Math.ceil(length / LARGE) * LARGE;
      this.#memory.resize(Math.max(length, Math.min(wanted, this.#memory.maxByteLength)));
    }
    this.#bytes.set(piece, this.#length);
    this.#length = length;
  }

  all(): Buffer {
    return Buffer.from(this.#memory, 0, this.#length);
  }

  free(): void {
    this.#memory.resize(0);
  }
}
