/** Reads the beginning of a receiver's answer, which may be of any size and hold anything. */
import { storableText } from '../domain/storable.ts';

/** How much of an answer's body is read, in bytes: a connection whose answer has come to its end can be used again. */
const READ_BYTES = 64 * 1024;

/** How much of it is kept, in bytes. */
const KEPT_BYTES = 1024;

/**
 * Reads an answer's body as far as is worth it. Whether it comes as a whole doesn't matter: the status was there before.
 * @param body ends where it is cut, and with it its connection
 * @returns the beginning, as text that Postgres can hold
 */
export async function readAnswer(body: AsyncIterable<Uint8Array>): Promise<string> {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (bytes < KEPT_BYTES) kept.push(chunk.subarray(0, KEPT_BYTES - bytes));
      bytes += chunk.length;
      // Leaving the loop destroys the body.
      if (bytes > READ_BYTES) break;
    }
  } catch {
    // It broke off, or took too long.
  }
  // As a stream, so that a character that is cut in the middle is left out.
  return storableText(new TextDecoder().decode(Buffer.concat(kept), { stream: true }));
}
