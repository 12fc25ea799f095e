/**
 * Cuts the file of an import into chunks, and sends each when it is complete.
 *
 * What has been sent is let go of as each call ends. As one loop over async generators it wasn't: a function that
 * waits keeps all that its variables held last, which were 20 MB for each upload that had seen a long line.
 */
import type { Chunk } from '../domain/chunks.ts';
import { ChunkBuilder, readLine } from '../domain/chunks.ts';
import type { Line } from '../domain/lines.ts';
import { LineSplitter } from '../domain/lines.ts';
import { nextTurn, SLICE_MS } from '../domain/slices.ts';
import type { ChunkSender } from './chunk-sender.ts';
import type { LongLine } from './long-lines.ts';
import { isLong } from './long-lines.ts';

export class FileIntake {
  readonly #splitter: LineSplitter;
  readonly #builder = new ChunkBuilder();
  readonly #sender: Pick<ChunkSender, 'send' | 'finish'>;
  readonly #long: LongLine;
  /** When others are to have their turn. What has come already could be read without a pause. */
  #pauseAt = 0;
  #objects = 0;
  #rejected = 0;

  constructor(maxLineBytes: number, sender: Pick<ChunkSender, 'send' | 'finish'>, long: LongLine) {
    this.#splitter = new LineSplitter(maxLineBytes);
    this.#sender = sender;
    this.#long = long;
  }

  /** Lines that were sent, and how many of those were bad ones. */
  get counts(): { readonly objects: number; readonly rejected: number } {
    return { objects: this.#objects, rejected: this.#rejected };
  }

  /** Takes what comes next. Resolves when more may come. @throws as `ChunkSender.send` and `LongLine.hold` */
  async push(bytes: Buffer): Promise<void> {
    if (performance.now() >= this.#pauseAt) {
      await nextTurn();
      this.#pauseAt = performance.now() + SLICE_MS;
    }
    await this.#add(this.#splitter.push(bytes));
    await this.#long.hold(this.#splitter.kept);
  }

  /** Resolves when all of the file is durably in the queue. @throws as `ChunkSender.finish` */
  async end(): Promise<void> {
    await this.#add(this.#splitter.end());
    await this.#sendRest();
    await this.#sender.finish();
  }

  async #add(lines: readonly Line[]): Promise<void> {
    for (const line of lines) {
      const read = readLine(line);
      // Nothing is waited for where it is there: that would cost each of a million short lines a turn.
      const chunk = this.#builder.add(line, read instanceof Promise ? await read : read);
      if (chunk) await this.#send(chunk);
      if (!isLong(line.bytes)) continue;
      // It is sent by itself and at once, so that an upload never holds two of them.
      await this.#sendRest();
      this.#long.release();
    }
  }

  async #sendRest(): Promise<void> {
    const rest = this.#builder.take();
    if (rest) await this.#send(rest);
  }

  async #send(chunk: Chunk): Promise<void> {
    this.#objects += chunk.ids.length + chunk.rejected.length;
    this.#rejected += chunk.rejected.length;
    await this.#sender.send(chunk);
  }
}
